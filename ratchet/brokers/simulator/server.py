"""The simulator as an ASGI app, and as a server in the running event loop."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.server import ServerState

from ratchet.brokers.simulator import answers
from ratchet.brokers.simulator.answers import Answer
from ratchet.brokers.simulator.connections import Connections
from ratchet.brokers.simulator.routes.admin import serve_admin
from ratchet.brokers.simulator.routes.pipeline import serve
from ratchet.brokers.simulator.routes.table import ENDPOINTS
from ratchet.brokers.simulator.settings import SimulatorSettings
from ratchet.brokers.simulator.simulator import CutConnectionError, Simulator

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_BACKLOG = 2048
_STOP_SECONDS = 5.0


def create_app(settings: SimulatorSettings) -> Starlette:
    """Return the app. `app.state.simulator`, which the caller closes, and `app.state.connections` are what it works on.

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
    """A simulator served by the current loop: `async with SimulatorServer(settings) as server`."""

    def __init__(self, settings: SimulatorSettings, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """port: 0 for a free one."""
        self._settings = settings
        self._host = host
        self._wanted_port = port
        self._port: int | None = None
        self._server: asyncio.Server | None = None
        self._state = ServerState()
        self.app: Starlette | None = None

    @property
    def port(self) -> int:
        """The port it listens on. Raises RuntimeError before the start."""
        if self._port is None:
            raise RuntimeError("the simulator has not been started")
        return self._port

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
        """Listen. Raises OSError if the port is taken, sqlite3.OperationalError if the store cannot be opened."""
        # With the protocol named, asyncio sets TCP_NODELAY on accepted connections; else each answer waits 40 ms.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self._host, self._wanted_port))
            # Listening before the store is opened: a taken port must not disturb the store of whoever has it.
            listening.listen(_BACKLOG)
            self.app = create_app(self._settings)
        except BaseException:
            listening.close()
            raise
        self._port = listening.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(self._protocol(), sock=listening)

    def _protocol(self) -> Callable[[], asyncio.Protocol]:
        # uvicorn's HTTP protocol without its Server, which takes over the process's signals and stops by the tick.
        if self.app is None:
            raise RuntimeError("the app has not been made")
        protocol = self.app.state.connections.protocol()
        config = uvicorn.Config(self.app, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False)
        config.load()
        return partial(protocol, config=config, server_state=self._state, app_state={})

    async def stop(self) -> None:
        """Finish running calls, cut those that hang, close the store. Safe to call twice."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        self.simulator.stopping.set()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(self._state.tasks, timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_STOP_SECONDS)
        await server.wait_closed()
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
