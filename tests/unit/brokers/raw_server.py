"""A server of plain sockets that does to a request whatever a test says, byte by byte."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

Act = Callable[["Visit"], Awaitable[None]]


class Visit:
    """One connection of a client, with the request last read from it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.over = False

    async def send(self, raw: bytes) -> None:
        """Send bytes."""
        self.writer.write(raw)
        await self.writer.drain()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.over = True
        self.writer.transport.abort()


class RawServer:
    """Acts on each request in turn; the last act repeats. Counts what came in."""

    def __init__(self, *acts: Act, greeting: Act | None = None) -> None:
        """greeting: done on a new connection before anything is read from it."""
        self._acts = list(acts)
        self._greeting = greeting
        self._server: asyncio.Server | None = None
        self._visits: set[asyncio.Task[None]] = set()
        self.requests: list[bytes] = []
        """Bodies of the requests that came in whole."""
        self.heads: list[bytes] = []
        self.opened = 0
        self.closed = 0

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._visit, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let every connection go."""
        assert self._server is not None
        self._server.close()
        for task in list(self._visits):
            task.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._visits.add(task)
        self.opened += 1
        try:
            await self._serve(Visit(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.closed += 1
            self._visits.discard(task)
            writer.transport.abort()

    async def _serve(self, visit: Visit) -> None:
        if self._greeting is not None:
            await self._greeting(visit)
        while not visit.over:
            head = await visit.reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
            )
            self.heads.append(head)
            self.requests.append(await visit.reader.readexactly(length))
            act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
            await act(visit)


def http(status: int, body: bytes, *headers: str) -> bytes:
    """Return a whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def answer(status: int, body: object, *headers: str) -> Act:
    """Answer with JSON, or with the bytes given, and keep the connection."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def act(visit: Visit) -> None:
        await visit.send(http(status, raw, *headers))

    return act


def send_then_close(raw: bytes) -> Act:
    """Send these bytes and close."""

    async def act(visit: Visit) -> None:
        await visit.send(raw)
        visit.over = True
        visit.writer.close()

    return act


async def close(visit: Visit) -> None:
    """Close without an answer."""
    visit.close()


async def reset(visit: Visit) -> None:
    """Break the connection without an answer."""
    visit.reset()


async def hang(visit: Visit) -> None:
    """Never answer."""
    await asyncio.Event().wait()


def trickle(pause_seconds: float) -> Act:
    """Send a byte of an endless answer now and then."""

    async def act(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            await visit.send(b" ")
            await asyncio.sleep(pause_seconds)

    return act
