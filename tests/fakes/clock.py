"""A clock that a test moves by hand."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count


class ManualClock:
    """Stands still until `advance` moves it; sleepers wake when their instant is reached, in order."""

    def __init__(self, start: datetime = datetime(2027, 1, 11, 5, 0, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> datetime:
        """Return the instant the clock was moved to."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds; moves with `advance` only."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by `seconds`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), woken))
        await woken

    def step_wall(self, seconds: float) -> None:
        """Step the wall clock alone, as a correction by a time server does."""
        self._now += timedelta(seconds=seconds)

    async def advance(self, seconds: float) -> None:
        """Move both clocks on, waking sleepers at their own instants."""
        target = self._monotonic + seconds
        await _let_others_run()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, woken = heapq.heappop(self._sleepers)
            self._move_to(max(due, self._monotonic))
            if not woken.done():
                woken.set_result(None)
            await _let_others_run()
        self._move_to(target)
        await _let_others_run()

    def _move_to(self, instant: float) -> None:
        self._now += timedelta(seconds=instant - self._monotonic)
        self._monotonic = instant


async def _let_others_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
