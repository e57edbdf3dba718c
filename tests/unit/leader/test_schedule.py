"""The schedule of duties, on a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from leader.leadership import Leadership, LeadershipLost
from leader.schedule import STUCK_SECONDS, Duty, Ending, Schedule
from ratchet.persistence.errors import DatabaseUnavailable, NoPrimary
from tests.fakes.clock import ManualClock
from tests.servers.waiting import eventually


class Doing:
    """A duty that notes its runs."""

    def __init__(self, error: Exception | None = None) -> None:
        self.runs = 0
        self.error = error

    async def __call__(self, leadership: Leadership) -> str:
        self.runs += 1
        if self.error is not None:
            raise self.error
        return "found nothing"


def leadership(clock: ManualClock) -> Leadership:
    """Return one that lasts."""
    return Leadership(epoch=1, until=1e9, now=clock.monotonic)


def duty(name: str, run: Doing, *, every: float = 60.0, deadline: float = 30.0, first: bool = False) -> Duty:
    """Return a row of the table."""
    return Duty(name=name, every=every, deadline=deadline, run=run, first=first)


@asynccontextmanager
async def running(schedule: Schedule, clock: ManualClock) -> AsyncIterator[asyncio.Task[None]]:
    """Run a schedule for the time of the block."""
    task = asyncio.create_task(schedule.run(leadership(clock)))
    await clock.advance(0)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_every_duty_is_run_at_the_begin_and_then_about_each_period() -> None:
    clock, often, seldom = ManualClock(), Doing(), Doing()
    schedule = Schedule([duty("often", often, every=10), duty("seldom", seldom, every=60)], clock)
    async with running(schedule, clock):
        assert (often.runs, seldom.runs) == (1, 1)
        await clock.advance(67)
        assert 6 <= often.runs <= 8
        assert seldom.runs == 2


async def test_what_comes_first_is_done_before_all_else() -> None:
    clock, order = ManualClock(), list[str]()

    class Ordered(Doing):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        async def __call__(self, leadership: Leadership) -> str:
            order.append(self.name)
            return ""

    table = [duty("c", Ordered("c")), duty("a", Ordered("a"), first=True), duty("b", Ordered("b"), first=True)]
    async with running(Schedule(table, clock), clock):
        assert order == ["a", "b", "c"]


async def test_a_duty_that_fails_is_kept_as_failed_and_tried_again_while_others_go_on() -> None:
    clock, bad, good = ManualClock(), Doing(RuntimeError("boom")), Doing()
    schedule = Schedule([duty("bad", bad, every=10), duty("good", good, every=10)], clock)
    async with running(schedule, clock) as task:
        assert schedule.last["bad"].ending is Ending.FAILED
        assert "boom" in schedule.last["bad"].found
        await clock.advance(12)
        assert bad.runs == 2 and good.runs == 2
        assert schedule.last["good"].found == "found nothing"
        assert not task.done()


AWAY = DatabaseUnavailable("no connection to the database: refused")
STANDBY = NoPrimary("no server that takes writes")


@pytest.mark.parametrize("together", [False, True])
async def test_that_the_database_is_away_is_told_once_in_one_line_and_again_when_the_reason_changes(
    caplog: pytest.LogCaptureFixture, together: bool
) -> None:
    clock, doing = ManualClock(), Doing(ExceptionGroup("tasks", [AWAY, AWAY]) if together else AWAY)
    schedule = Schedule([duty("any", doing, every=10)], clock)

    def told() -> list[tuple[str, str]]:
        return [(one.levelname, one.__dict__["reason"]) for one in caplog.records if one.levelno > logging.INFO]

    async with running(schedule, clock):
        await clock.advance(35)
        assert doing.runs >= 4
        assert told() == [("WARNING", "unavailable")]
        assert schedule.last["any"].ending is Ending.FAILED and not any(one.exc_info for one in caplog.records)
        doing.error = STANDBY
        await clock.advance(25)
        assert told() == [("WARNING", "unavailable"), ("WARNING", "no_primary")]
        doing.error = None
        await clock.advance(15)
        doing.error = STANDBY
        await clock.advance(25)
        assert told() == [("WARNING", "unavailable"), ("WARNING", "no_primary"), ("WARNING", "no_primary")]


async def test_anything_else_that_fails_a_duty_is_told_each_time_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, doing = ManualClock(), Doing(ExceptionGroup("tasks", [AWAY, RuntimeError("boom")]))
    async with running(Schedule([duty("any", doing, every=10)], clock), clock):
        await clock.advance(12)
    told = [one for one in caplog.records if one.levelname == "ERROR"]
    assert len(told) == doing.runs == 2 and all(one.exc_info for one in told)


async def test_a_run_that_outlasts_its_deadline_by_far_is_stuck() -> None:
    clock = ManualClock()
    may_end = asyncio.Event()

    class Deaf(Doing):
        async def __call__(self, leadership: Leadership) -> str:
            await may_end.wait()
            return ""

    schedule = Schedule([duty("deaf", Deaf(), deadline=100.0)], clock)
    async with running(schedule, clock):
        found = []
        for seconds in (100 + STUCK_SECONDS, 1):
            await clock.advance(seconds)
            found.append(schedule.stuck)
        may_end.set()
        await clock.advance(0)
        assert [*found, schedule.stuck] == [False, True, False]


async def test_a_duty_that_exceeds_its_deadline_is_cancelled() -> None:
    clock = ManualClock()

    class Hanging(Doing):
        async def __call__(self, leadership: Leadership) -> str:
            await asyncio.Event().wait()
            return ""

    schedule = Schedule([duty("hanging", Hanging(), deadline=0.01)], clock)
    async with running(schedule, clock):
        await eventually(lambda: "hanging" in schedule.last)
        assert schedule.last["hanging"].ending is Ending.LATE


@pytest.mark.parametrize("first", [True, False])
async def test_a_duty_that_finds_a_later_leader_ends_them_all(first: bool) -> None:
    clock = ManualClock()
    schedule = Schedule([duty("other", Doing()), duty("fenced", Doing(LeadershipLost("later")), first=first)], clock)
    with pytest.raises(LeadershipLost, match="later"):
        await schedule.run(leadership(clock))


async def test_nothing_is_begun_without_the_right_to_act() -> None:
    clock, doing = ManualClock(), Doing()
    ended = leadership(clock)
    ended.end()
    with pytest.raises(LeadershipLost):
        await Schedule([duty("any", doing)], clock).run(ended)
    assert doing.runs == 0
