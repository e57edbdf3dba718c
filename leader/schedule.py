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
from ratchet.persistence.errors import CommitInDoubt, DatabaseUnavailable, PersistenceError

log = logging.getLogger(__name__)

JITTER = 0.1
FOUND_LENGTH = 500
"""How much of what a duty found is kept."""
STUCK_SECONDS = 30.0
"""How long a run may take to end after its deadline, such as for the record of an order that was on its way."""


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
        self._must_end: dict[str, float] = {}
        self._waits: dict[str, str] = {}
        self.last: dict[str, LastRun] = {}

    @property
    def stuck(self) -> bool:
        """Whether a run goes on long after its deadline: it was cancelled and does not end."""
        now = self._clock.monotonic()
        return any(now > instant + STUCK_SECONDS for instant in self._must_end.values())

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
        self._must_end[duty.name] = started + duty.deadline
        ending, found = Ending.DONE, ""
        try:
            async with asyncio.timeout(duty.deadline) as deadline:
                result = await duty.run(leadership)
            found = "" if result is None else str(result)[:FOUND_LENGTH]
            self._waits.pop(duty.name, None)
        except LeadershipLost:
            raise
        except TimeoutError as error:
            ending = Ending.LATE if deadline.expired() else Ending.FAILED
            found = f"not done within {duty.deadline} s" if deadline.expired() else f"no answer in time: {error}"
            log.warning("a duty took too long", extra={"event": "duty_late", "duty": duty.name, "found": found})
        except Exception as error:
            # The outermost edge of the duty: it is tried again at its next time, and the others go on.
            ending, found = Ending.FAILED, f"{type(error).__name__}: {error}"
            if not self._waits_for_the_database(duty, error):
                log.exception("a duty failed", extra={"event": "duty_failed", "duty": duty.name})
        finally:
            self._must_end.pop(duty.name)
        took = self._clock.monotonic() - started
        self.last[duty.name] = LastRun(started_at=started_at, took=took, ending=ending, found=found)
        metrics.DUTY_SECONDS.labels(duty.name).observe(took)
        if ending is not Ending.DONE:
            metrics.DUTY_FAILURES.labels(duty.name).inc()

    def _waits_for_the_database(self, duty: Duty, error: Exception) -> bool:
        """Say that it is away, once and again when the reason changes; return False if something else is wrong."""
        away = _database_away(error)
        if away is None:
            self._waits.pop(duty.name, None)
            return False
        new = self._waits.get(duty.name) != away.outcome
        self._waits[duty.name] = away.outcome
        facts = {"event": "duty_failed", "duty": duty.name, "reason": away.outcome}
        log.log(logging.WARNING if new else logging.DEBUG, "a duty waits for the database: %s", away, extra=facts)
        return True


def _database_away(error: BaseException) -> PersistenceError | None:
    """Return why the database could not be used, if that is all that went wrong; tasks of one duty fail together."""
    if isinstance(error, BaseExceptionGroup):
        found = [_database_away(one) for one in error.exceptions]
        return found[0] if all(found) else None
    return error if isinstance(error, DatabaseUnavailable | CommitInDoubt) else None
