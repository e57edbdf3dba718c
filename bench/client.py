"""A load generator that costs less than what it measures: prepared requests over kept connections, parsed by hand."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import cast

import uvloop

_LIMIT_SECONDS = 600.0


@dataclass(slots=True)
class Load:
    """What a load came to. seconds: from the first byte to the last answer; latencies: seconds of each request."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    sent_at: list[int] = field(default_factory=list)
    """Monotonic nanoseconds at which each request left, in the order of the answers."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: int) -> float:
        """Return a percentile of the latencies, in seconds."""
        return quantiles(self.latencies, n=100)[percent - 1]


class _Connection(asyncio.Protocol):
    """One kept connection: the next request leaves when the last answer is complete."""

    def __init__(self, requests: Iterator[bytes], load: Load) -> None:
        self._requests = requests
        self._load = load
        self._received = b""
        self._began = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def next(self) -> None:
        """Send the next request, or end."""
        request = next(self._requests, None)
        if request is None:
            self._end(None)
            return
        self._began = time.monotonic_ns()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        at = head.lower().find(b"content-length:")
        if len(body) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return
        self._received = b""
        load = self._load
        load.latencies.append((time.monotonic_ns() - self._began) / 1e9)
        load.statuses[int(head[9:12])] += 1
        load.sent_at.append(self._began)
        self.next()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionError("the server closed the connection"))

    def _end(self, error: Exception | None) -> None:
        if self.over.done():
            return
        if error is None:
            self.over.set_result(None)
            self._transport.close()
        else:
            self.over.set_exception(error)


def drive(port: int, requests: Sequence[bytes], connections: int = 16) -> Load:
    """Send all requests over so many connections, each as soon as the one before it was answered."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(port, requests, connections))


async def _drive(port: int, requests: Sequence[bytes], connections: int) -> Load:
    load, left, loop = Load(), iter(requests), asyncio.get_running_loop()
    opened = []
    for _ in range(connections):
        _, protocol = await loop.create_connection(lambda: _Connection(left, load), "127.0.0.1", port)
        opened.append(protocol)
    began = time.monotonic()
    for protocol in opened:
        protocol.next()
    async with asyncio.timeout(_LIMIT_SECONDS):
        for protocol in opened:
            await protocol.over
    load.seconds = time.monotonic() - began
    return load
