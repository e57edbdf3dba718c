"""Keeps reads below the rate at which OpenAlgo answers 429."""

from __future__ import annotations

from collections import deque

from ratchet.clock import Clock


class Pace:
    """Lets at most `limit` calls of each endpoint begin within any one second of this process."""

    def __init__(self, clock: Clock, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._begun: dict[str, deque[float]] = {}

    async def turn(self, endpoint: str) -> None:
        """Wait until a call of `endpoint` may begin, and count it."""
        begun = self._begun.setdefault(endpoint, deque(maxlen=self._limit))
        while len(begun) == self._limit and (wait := begun[0] + 1.0 - self._clock.monotonic()) > 0:
            await self._clock.sleep(wait)
        begun.append(self._clock.monotonic())
