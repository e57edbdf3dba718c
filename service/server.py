"""uvicorn with an end in order, and with bounds on clients that are slow before their request has even begun."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ratchet.config.duties import DrainSettings
from ratchet.config.sections import HttpSettings
from ratchet.observability import metrics
from service.asgi import SHORTCUT, App
from service.drain import Drain
from service.problems import Problem, problem_answer

HEAD_LIMIT_BYTES = 32_768
"""Longest request line and headers together; the parser itself has no limit."""

_LONG_HEAD = "The request line and headers are too long."
_LEAVING_SECONDS = 0.5

_SWEEP_TICKS = 5
"""The server ticks ten times a second; connections are looked at twice."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection: its requests' heads are bounded in length and time, and what cannot be parsed gets a problem."""

    def __init__(self, *arguments: Any, most: int, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._most = most

    head_since: float | None = None
    """When the head that is not complete yet began, or the connection, if it never sent one; monotonic seconds."""
    _head_bytes = 0
    """Of the head that is not complete yet, as far as they are known to belong to it."""
    _between = True
    """Whether the bytes that come next begin a head."""
    _begun = 0
    """Heads that have begun in the bytes at hand."""
    _at_hand = 0
    """Bytes of which a head that is complete now can be made."""
    _leaving = False
    """Whether the last answer was given, and what still comes is thrown away."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time of the first head."""
        super().connection_made(transport)
        self.head_since = self.loop.time()
        if len(self.connections) > self._most:
            self.refuse(Problem.OVERLOADED, "Too many connections are open.")

    def data_received(self, data: bytes) -> None:
        """Read on; a head that grows too long, and bytes that begin no head, are put a limit to."""
        if self._leaving:
            return
        between, self._begun, self._at_hand = self._between, 0, len(data) + self._head_bytes
        if self.head_since is not None and not between:
            self._head_bytes += len(data)  # it has begun before
        super().data_received(data)
        if self.head_since is None:
            if self.timeout_keep_alive_task is None and not self._answering and not self._leaving:
                self.head_since = self.loop.time()  # bytes came, but neither a head nor anything awaited
            return
        if between and self._begun <= 1:
            self._head_bytes += len(data)  # all of them; behind other requests a part, that is not counted
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self.refuse(Problem.TOO_LARGE, _LONG_HEAD, linger=True)

    def on_message_begin(self) -> None:
        """Start the time of a head."""
        super().on_message_begin()
        self.head_since = self.loop.time()
        self._head_bytes = 0
        self._between = False
        self._begun += 1

    def on_headers_complete(self) -> None:
        """Stop the time of a head, and offer the request a short way to answer. Raises _TooLong, which ends parsing."""
        self.head_since = None
        if self._at_hand > HEAD_LIMIT_BYTES and self._head_size() > HEAD_LIMIT_BYTES:
            self.refuse(Problem.TOO_LARGE, _LONG_HEAD, linger=True)
            raise _TooLong
        super().on_headers_complete()
        cast(Any, self.scope)["extensions"] = {SHORTCUT: _Shortcut(self.cycle)}

    def on_message_complete(self) -> None:
        """Let a connection idle again whose request was answered before all of it had been read."""
        super().on_message_complete()
        self._between = True
        if not self._answering and self.timeout_keep_alive_task is None:
            self.head_since = None
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    @property
    def _answering(self) -> bool:
        """Whether a request is in work."""
        return self.cycle is not None and not self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self.refuse(Problem.INVALID_REQUEST, msg)

    def refuse(self, problem: Problem, detail: str | None = None, *, linger: bool = False) -> None:
        """Answer outside of any route, and close. linger: only once the client, which still sends, can have read it."""
        if self._leaving or self.transport.is_closing():
            return
        self.head_since = None
        if self._answering and not self.cycle.more_body:
            # An earlier request on this connection is still in work: its answer is due first, and it is the last one.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        answer = problem_answer(problem, "", detail)
        head = (
            f"HTTP/1.1 {answer.status} {problem.title}\r\ncontent-type: {answer.content_type.decode()}\r\n"
            f"content-length: {len(answer.body)}\r\nconnection: close\r\n"
        )
        further = b"".join(b"%b: %b\r\n" % header for header in answer.headers)
        self.transport.write(head.encode() + further + b"\r\n" + answer.body)
        if not linger:
            self.transport.close()
            return
        self._leaving = True
        self._unset_keepalive_if_required()
        self.transport.write_eof()
        self.timeout_keep_alive_task = self.loop.call_later(_LEAVING_SECONDS, self.timeout_keep_alive_handler)


class _TooLong(Exception):
    """A head is longer than HEAD_LIMIT_BYTES."""


class _Shortcut:
    """Does what the cycle's own `receive` and `send` do, where all is there and all is said. See `service.asgi`."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def body(self) -> bytes | None:
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        return body

    def respond(self, status: int, head: bytes, body: bytes, *, close: bool) -> bool:
        cycle = self._cycle
        if cycle.disconnected:
            return True
        if cycle.response_started or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
            return False
        lines = [STATUS_LINE[status]]
        for name, value in cycle.default_headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(head)
        if close or not cycle.keep_alive:
            cycle.keep_alive = False
            lines.append(b"connection: close\r\n")
        lines += (b"\r\n", body)
        cycle.transport.write(b"".join(lines))
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True


class Server(uvicorn.Server):
    """Serves until `drain` says to leave; signals are the business of whoever owns the process."""

    def __init__(self, app: App, *, http: HttpSettings, port: int, drain: Drain, limits: DrainSettings) -> None:
        super().__init__(
            uvicorn.Config(
                cast(Any, app),
                host=http.host,
                port=port,
                http=cast(Any, partial(BoundedProtocol, most=http.max_connections)),
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=max(1, round(http.keep_alive_seconds)),
                timeout_graceful_shutdown=max(1, round(limits.graceful_seconds)),
            )
        )
        self._http = http
        self._drain = drain
        metrics.HTTP_CONNECTIONS.set_function(lambda: len(self.server_state.connections))
        # Its warnings are about what clients send: a line for each bad request is what a flood is made of.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    def listen(self) -> socket.socket:
        """Return the socket to serve on. Raises OSError if the address is taken."""
        family = socket.AF_INET6 if ":" in self.config.host else socket.AF_INET
        # The protocol is named, because only then asyncio switches Nagle's delay off for what is accepted.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.config.host, self.config.port))
            listener.listen(self.config.backlog)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener

    async def run_until_drained(self, listener: socket.socket) -> None:
        """Serve until the drain's delay is over and open requests have been answered."""
        async with asyncio.TaskGroup() as tasks:
            ending = tasks.create_task(self._end(), name="drain")
            await self._serve(sockets=[listener])
            ending.cancel()

    async def _end(self) -> None:
        await self._drain.wait_until_leaving()
        self.should_exit = True
        if not self._drain.at_once:
            await self._drain.wait_until_at_once()
        self.force_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signal handlers alone."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Close connections whose next request has begun, but does not arrive."""
        if counter % _SWEEP_TICKS == 0:
            oldest = asyncio.get_running_loop().time() - self._http.body_timeout_seconds
            for connection in list(self.server_state.connections):
                protocol = cast(BoundedProtocol, connection)
                if protocol.head_since is not None and protocol.head_since < oldest:
                    protocol.refuse(Problem.SLOW_REQUEST)
        return await super().on_tick(counter)
