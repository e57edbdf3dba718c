"""The connections that all accounts of a process share, and the proof of whether a request could have been written."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
from yarl import URL

from ratchet.clock import Clock

IDLE_SECONDS = 1.0
"""Shorter than the server keeps it. OpenAlgo's server (gunicorn) closes idle ones after 2 s; a request that meets
that close on its way is lost without a trace, and a lost order blocks its slot for minutes."""


class WindowMissed(Exception):
    """The connection came too late for this order; nothing was written."""


@dataclass(slots=True)
class Progress:
    """How far one call came. last_start: the monotonic second after which its first byte must not leave, if any."""

    clock: Clock
    last_start: float | None = None
    connected: bool = False

    def got_connection(self) -> None:
        """Note that from here on bytes may be out."""
        self.connected = True

    def before_first_byte(self) -> None:
        """Raise WindowMissed if it is too late; the connection is then closed unused."""
        if self.last_start is not None and self.clock.monotonic() > self.last_start:
            self.connected = False
            raise WindowMissed("the time allowed until the first byte had passed")
        self.connected = True


class OpenAlgoSession:
    """An aiohttp session with a bounded number of connections to each server.

    Each server has its own bound, so that one which hangs cannot take the connections to the others.
    Close it with `close()` when every call has ended.
    """

    def __init__(self, http: aiohttp.ClientSession, connections: int) -> None:
        self._http = http
        self._connections = connections
        self._slots: dict[URL, asyncio.Semaphore] = {}

    def slots(self, server: URL) -> asyncio.Semaphore:
        """Return the permits of one server; a call holds one from before it connects until its answer is read."""
        origin = server.origin()
        if origin not in self._slots:
            self._slots[origin] = asyncio.Semaphore(self._connections)
        return self._slots[origin]

    def post(
        self, url: URL, body: bytes, headers: Mapping[str, str], timeout: aiohttp.ClientTimeout, progress: Progress
    ) -> aiohttp.client._RequestContextManager:
        """Post `body` once. aiohttp itself repeats idempotent methods only; redirects are answers like any other."""
        return self._http.post(
            url, data=body, headers=headers, timeout=timeout, allow_redirects=False, trace_request_ctx=progress
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()


def create_session(
    *, connections: int = 16, write_timeout_seconds: float = 2.0, idle_seconds: float = IDLE_SECONDS
) -> OpenAlgoSession:
    """Return the session of a process; call it inside the running event loop.

    connections: most connections to one server at a time. write_timeout_seconds: longest time that sent bytes may stay
    without the peer's acknowledgement; then the connection breaks (Linux; elsewhere the other limits have to do).
    idle_seconds: how long an unused connection is kept.
    """

    def new_socket(address: tuple[Any, ...]) -> socket.socket:
        sock = socket.socket(address[0], address[1], address[2])
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(write_timeout_seconds * 1000))
        return sock

    # limit 0: the bound is kept by `OpenAlgoSession.slots`, whose wait has a time-out of its own
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=idle_seconds, socket_factory=new_socket)
    http = aiohttp.ClientSession(
        connector=connector,
        # accounts share the session, cookies must not travel between them
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[_progress_hooks()],
    )
    return OpenAlgoSession(http, connections)


def _progress_hooks() -> aiohttp.TraceConfig:
    async def connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.got_connection()

    async def headers(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.before_first_byte()

    # aiohttp tells of the headers just before it writes them. The first two say the same earlier, so that a version
    # which told of the headers late could not make a written request look unwritten.
    hooks = aiohttp.TraceConfig()
    hooks.on_connection_create_end.append(connected)
    hooks.on_connection_reuseconn.append(connected)
    hooks.on_request_headers_sent.append(headers)
    return hooks
