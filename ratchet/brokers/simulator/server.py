"""The simulator as an ASGI app, and as a server in the running event loop."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.brokers.simulator import answers
from ratchet.brokers.simulator.answers import Answer
from ratchet.brokers.simulator.connections import Connections
from ratchet.brokers.simulator.routes.admin import serve_admin
from ratchet.brokers.simulator.routes.pipeline import serve
from ratchet.brokers.simulator.routes.table import ENDPOINTS
from ratchet.brokers.simulator.settings import SimulatorSettings
from ratchet.brokers.simulator.simulator import CutConnectionError, Simulator

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_START_SECONDS = 10.0
_STOP_SECONDS = 5.0


def create_app(settings: SimulatorSettings) -> Starlette:
    """Return the app; `app.state.simulator` and `app.state.connections` hold what it works on.

    Raises sqlite3.OperationalError if the store cannot be opened.
    """
    simulator = Simulator(settings)
    connections = Connections()

    async def api(request: Request) -> Response:
        name = request.path_params["endpoint"].rstrip("/")
        endpoint = ENDPOINTS.get(name)
        if endpoint is None or request.method != "POST":
            return _response(answers.not_found(request.url.path))
        try:
            return _response(await serve(simulator, name, endpoint, request))
        except CutConnectionError:
            await connections.cut(request)
            return Response(status_code=500)  # goes nowhere: the connection is closed

    async def admin(request: Request) -> Response:
        answer = await serve_admin(simulator, request)
        return _response(answer or answers.not_found(request.url.path))

    async def elsewhere(request: Request) -> Response:
        return _response(answers.not_found(request.url.path))

    app = Starlette(
        routes=[
            Route("/api/v1/{endpoint:path}", api, methods=_METHODS),
            Route("/admin/{path:path}", admin, methods=_METHODS),
            Route("/{path:path}", elsewhere, methods=_METHODS),
        ]
    )
    app.state.simulator = simulator
    app.state.connections = connections
    return app


def _response(answer: Answer) -> Response:
    content, media_type = answer.encoded()
    return Response(content, status_code=answer.status, media_type=media_type)


class SimulatorServer:
    """A simulator served by a task of the current loop: `async with SimulatorServer(settings) as server`."""

    def __init__(self, settings: SimulatorSettings, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """port: 0 for a free one."""
        self._settings = settings
        self._host = host
        self._wanted_port = port
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.app: Starlette | None = None

    @property
    def port(self) -> int:
        """The port it listens on. Raises RuntimeError before the start."""
        if self._socket is None:
            raise RuntimeError("the simulator has not been started")
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """The server's address without a path, as the client's settings want it."""
        return f"http://{self._host}:{self.port}"

    @property
    def simulator(self) -> Simulator:
        """The state behind the server. Raises RuntimeError before the start."""
        if self.app is None:
            raise RuntimeError("the simulator has not been started")
        simulator: Simulator = self.app.state.simulator
        return simulator

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken, TimeoutError if the server does not come up."""
        # With the protocol named, asyncio sets TCP_NODELAY on accepted connections; else each answer waits 40 ms.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self._host, self._wanted_port))
            self.app = create_app(self._settings)
        except BaseException:
            listening.close()
            raise
        self._socket = listening
        config = uvicorn.Config(
            self.app,
            http=self.app.state.connections.protocol(),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,  # it would show the start's time for good
            timeout_graceful_shutdown=int(_STOP_SECONDS),
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]), name="simulated broker")
        async with asyncio.timeout(_START_SECONDS):
            await self._server.listening.wait()

    async def stop(self) -> None:
        """Finish running calls, cut those that hang, close the store. Safe to call twice."""
        if self._task is None or self._server is None or self._socket is None:
            return
        self.simulator.stopping.set()
        self._server.should_exit = True
        self._server.leaving.set()
        await self._task
        self._task = None
        self._socket.close()
        self.simulator.close()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()


class _Server(uvicorn.Server):
    """uvicorn, leaving the process's signals to whoever runs the loop, and without its ten ticks a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.leaving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Serve until told to leave, at once and not at the next of uvicorn's ticks."""
        await self.on_tick(0)
        await self.leaving.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
