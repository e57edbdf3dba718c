"""The open TCP connections, so that one can be closed under a request without an answer.

ASGI has no word for that. The server's protocol class reports each transport here, and a request is found again by its
peer's address.
"""

import asyncio
from typing import Any, cast

from starlette.requests import Request
from uvicorn.protocols.http.auto import AutoHTTPProtocol

Peer = tuple[str, int]


class Connections:
    """Transports by the peer's (host, port)."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: dict[Peer, asyncio.Transport] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """Return uvicorn's HTTP protocol, reporting its connections here."""
        known = self._open
        parent: Any = AutoHTTPProtocol

        class ReportingProtocol(parent):  # type: ignore[misc]  # which of its two protocols uvicorn has is known at run time
            peer: Peer | None = None

            def connection_made(self, transport: asyncio.Transport) -> None:
                peer = transport.get_extra_info("peername")
                if peer is not None:
                    self.peer = (peer[0], peer[1])
                    known[self.peer] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                if self.peer is not None:
                    known.pop(self.peer, None)
                super().connection_lost(exc)

        return cast(type[asyncio.Protocol], ReportingProtocol)

    async def cut(self, request: Request) -> None:
        """Close a request's connection at once and wait until it is gone.

        Raises RuntimeError if the server does not report its connections here (see SimulatorServer).
        """
        client = request.client
        transport = self._open.get((client.host, client.port)) if client is not None else None
        if transport is None:
            raise RuntimeError("connections can be cut only when the app is served by SimulatorServer")
        transport.abort()
        while (await request.receive())["type"] != "http.disconnect":
            continue
