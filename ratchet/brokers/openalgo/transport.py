"""One POST to one server, and what was seen of it.

Whether a request could have left is known by one fact: a connection was in hand. Before that an error proves that
nothing was sent; after it nothing does, not even a reset on a kept-alive connection, which may have carried the request
before it broke.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
from yarl import URL

from ratchet.brokers.openalgo import wire
from ratchet.brokers.openalgo.outcomes import Seen
from ratchet.brokers.openalgo.pacing import Pace
from ratchet.brokers.openalgo.session import OpenAlgoSession, Progress
from ratchet.clock import Clock
from ratchet.failpoints import Failpoint, reach

_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "ratchet"}
_NEVER_ROUND = 1e9
"""aiohttp rounds time-outs above this many seconds up to whole ones; ours are promises."""

_UNREPEATABLE = "placeorder"
_CRASH_POINTS = {"placeorder": Failpoint.K9, "modifyorder": Failpoint.K13, "cancelorder": Failpoint.K13}
"""Passed when the server has answered and the answer is not yet read. These calls have a budget and no pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Limits of one call, in seconds.

    pool: wait for a free connection. connect: name look-up, TCP and TLS. read: wait for the next byte. total: all of
    it. quote: the total of a quote. window: from the call of `place` to the first byte, unless the caller says less.
    The limit of the writing is the session's.
    """

    pool: float = 1.0
    connect: float = 2.0
    read: float = 8.0
    total: float = 10.0
    quote: float = 2.0
    window: float = 2.0


class NoFreeConnection(Exception):
    """Every connection to the server was in use for too long."""


class Transport:
    """Posts to one server for one account. secret: masked in every text that is made of an answer."""

    def __init__(
        self,
        session: OpenAlgoSession,
        base_url: str,
        secret: str,
        timeouts: Timeouts,
        clock: Clock,
        *,
        calls_per_second: int,
        answer_limit_bytes: int,
    ) -> None:
        self._session = session
        self._root = self.root_of(base_url)
        self._slots = session.slots(self._root)
        self._urls: dict[str, URL] = {}
        self._secret = secret
        self._timeouts = timeouts
        self._clock = clock
        self._pace = Pace(clock, calls_per_second)
        self._answer_limit_bytes = answer_limit_bytes
        self._http_timeout = aiohttp.ClientTimeout(
            connect=timeouts.connect,
            sock_connect=timeouts.connect,
            sock_read=timeouts.read,
            ceil_threshold=_NEVER_ROUND,
        )

    @staticmethod
    def root_of(base_url: str) -> URL:
        """Return the address below which the calls lie."""
        return URL(base_url.rstrip("/")) / "api" / "v1"

    async def post(self, call: str, body: bytes, *, total: float, last_start: float | None = None) -> Seen:
        """Post `body` once and return what was seen; raises nothing but CancelledError.

        total: seconds. last_start: the monotonic second after which the first byte must not leave.
        """
        progress = Progress(self._clock, last_start)
        try:
            async with asyncio.timeout(total):
                return await self._post(call, body, progress)
        except Exception as error:  # noqa: BLE001 - known or not, what counts is how far the call had come
            return Seen(connected=progress.connected, cause=_words(error), secret=self._secret)

    async def _post(self, call: str, body: bytes, progress: Progress) -> Seen:
        if call not in _CRASH_POINTS:
            await self._pace.turn(call)
        await self._take_slot()
        try:
            if call == _UNREPEATABLE:
                await self._see_closed_connections()
            async with self._session.post(self._url(call), body, _HEADERS, self._http_timeout, progress) as answer:
                if (point := _CRASH_POINTS.get(call)) is not None:
                    await reach(point)
                return await self._read(answer)
        finally:
            self._slots.release()

    async def _take_slot(self) -> None:
        try:
            async with asyncio.timeout(self._timeouts.pool):
                await self._slots.acquire()
        except TimeoutError:
            raise NoFreeConnection(f"none within {self._timeouts.pool} s") from None

    async def _see_closed_connections(self) -> None:
        """Let the loop notice which idle connections the server has closed, so that none of them carries an order.

        Any other call may be made again.

        The first turn of the loop polls the sockets, the second comes after what it found was handled.
        """
        for _ in range(2):
            await self._clock.sleep(0)

    async def _read(self, answer: aiohttp.ClientResponse) -> Seen:
        raw = bytearray()
        async for part in answer.content.iter_any():
            raw += part
            if len(raw) > self._answer_limit_bytes:
                cause = f"answer longer than {self._answer_limit_bytes} bytes"
                return Seen(status=answer.status, cause=cause, secret=self._secret)
        return Seen(status=answer.status, body=wire.parsed(bytes(raw)), secret=self._secret)

    def _url(self, call: str) -> URL:
        if call not in self._urls:
            self._urls[call] = self._root / call
        return self._urls[call]


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
