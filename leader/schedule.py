"""Runs each duty when it is due, under its deadline, and keeps what came of it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from leader.leadership import Leadership, LeadershipLost
from ratchet.clock import Clock
from ratchet.observability import metrics

log = logging.getLogger(__name__)

JITTER = 0.1
FOUND_LENGTH = 500
"""How much of what a duty found is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """One thing that the leader does again and again.

    every, deadline: seconds; a run that takes longer than its deadline is cancelled, so `run` must be safe to repeat.
    first: it is run before all else, in the order of the table, by each new leader.
    run: returns facts for the log, or None; raises LeadershipLost if the database knows a later leader.
    """

    name: str
    every: float
    deadline: float
    run: Callable[[Leadership], Awaitable[object]]
    first: bool = False


class Ending(StrEnum):
    """How one run of a duty ended."""

    DONE = "done"
    FAILED = "failed"
    LATE = "late"  # its deadline passed


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """What came of the latest run of a duty. took: seconds."""

    started_at: datetime
    took: float
    ending: Ending
    found: str


class Schedule:
    """The duties of one process, run whenever it leads."""

    def __init__(self, duties: Sequence[Duty], clock: Clock) -> None:
        self._duties = tuple(duties)
        self._clock = clock
        self.last: dict[str, LastRun] = {}

    async def run(self, leadership: Leadership) -> None:
        """Run the duties until cancelled. Raises LeadershipLost when one of them finds a later leader."""
        for duty in self._duties:
            if duty.first:
                await self._once(duty, leadership)
        try:
            async with asyncio.TaskGroup() as running:
                for duty in self._duties:
                    running.create_task(self._again_and_again(duty, leadership), name=f"duty {duty.name}")
        except* LeadershipLost as lost:
            raise LeadershipLost(str(lost.exceptions[0])) from lost

    async def _again_and_again(self, duty: Duty, leadership: Leadership) -> None:
        if not duty.first:
            await self._once(duty, leadership)
        while True:
            await self._clock.sleep(duty.every * random.uniform(1 - JITTER, 1 + JITTER))
            await self._once(duty, leadership)

    async def _once(self, duty: Duty, leadership: Leadership) -> None:
        leadership.check()
        started_at, started = self._clock.now(), self._clock.monotonic()
        ending, found = Ending.DONE, ""
        try:
            async with asyncio.timeout(duty.deadline) as deadline:
                result = await duty.run(leadership)
            found = "" if result is None else str(result)[:FOUND_LENGTH]
        except LeadershipLost:
            raise
        except TimeoutError as error:
            ending = Ending.LATE if deadline.expired() else Ending.FAILED
            found = f"not done within {duty.deadline} s" if deadline.expired() else f"no answer in time: {error}"
            log.warning("a duty took too long", extra={"event": "duty_late", "duty": duty.name, "found": found})
        except Exception as error:
            # The outermost edge of the duty: it is tried again at its next time, and the others go on.
            ending, found = Ending.FAILED, f"{type(error).__name__}: {error}"
            log.exception("a duty failed", extra={"event": "duty_failed", "duty": duty.name})
        took = self._clock.monotonic() - started
        self.last[duty.name] = LastRun(started_at=started_at, took=took, ending=ending, found=found)
        metrics.DUTY_SECONDS.labels(duty.name).observe(took)
        if ending is not Ending.DONE:
            metrics.DUTY_FAILURES.labels(duty.name).inc()
