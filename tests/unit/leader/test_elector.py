"""The loop around the decision, with several electors on one lease and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from leader.announcing import Moment
from leader.election import Times
from leader.elector import Elector
from leader.leadership import Leadership, LeadershipLost
from ratchet.clock import SystemClock
from tests.fakes.clock import ManualClock
from tests.fakes.lease import MemoryFence, MemoryLease

TIMES = Times(lease_duration=10, renew_deadline=6.0, retry_period=2.0, request_timeout=1.5)


class Process:
    """One process with an elector; notes when it leads."""

    def __init__(self, name: str, lease: MemoryLease, fence: MemoryFence, clock: ManualClock) -> None:
        self.name = name
        self.leadership: Leadership | None = None
        self.epochs: list[int] = []
        self.fails: Exception | None = None
        self.may_fail = asyncio.Event()
        self.slow_to_end = asyncio.Event()
        self.slow_to_end.set()
        self.elector = Elector(lease=lease, fence=fence, identity=name, times=TIMES, clock=clock, now=clock.monotonic)

    async def work(self, leadership: Leadership) -> None:
        """Lead until cancelled."""
        self.leadership = leadership
        self.epochs.append(leadership.epoch)
        try:
            if self.fails is None:
                await self.may_fail.wait()
            if self.fails is not None:
                raise self.fails
        finally:
            await self.slow_to_end.wait()
            self.leadership = None

    @property
    def leads(self) -> bool:
        """Whether it works as the leader and may act."""
        return self.leadership is not None and self.leadership.valid


class World:
    """A lease, a fence, a clock, and any number of processes."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.lease = MemoryLease(self.clock)
        self.fence = MemoryFence()
        self.processes: list[Process] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str) -> Process:
        """Start a process."""
        process = Process(name, self.lease, self.fence, self.clock)
        self.processes.append(process)
        self.tasks[name] = asyncio.create_task(process.elector.run(process.work))
        return process

    async def run(self, seconds: float) -> None:
        """Let time pass; at no instant may two lead."""
        for _ in range(round(seconds * 10)):
            await self.clock.advance(0.1)
            assert sum(p.leads for p in self.processes) <= 1

    async def kill(self, name: str) -> None:
        """End a process without any farewell."""
        self.processes = [p for p in self.processes if p.name != name]
        self.tasks[name].cancel()
        await asyncio.wait([self.tasks[name]])


@asynccontextmanager
async def a_world() -> AsyncIterator[World]:
    """Make a world and end its processes."""
    world = World()
    try:
        yield world
    finally:
        for task in world.tasks.values():
            task.cancel()
        if world.tasks:
            await asyncio.wait(world.tasks.values())


async def test_one_of_several_leads() -> None:
    async with a_world() as world:
        several = [world.start(name) for name in ("a", "b", "c")]
        await world.run(30)
        assert [p.leads for p in several].count(True) == 1
        assert world.fence.epoch == 1


async def test_a_killed_leader_is_followed_after_its_lease_under_a_new_epoch() -> None:
    async with a_world() as world:
        world.start("a")
        await world.run(1)
        b = world.start("b")
        await world.run(5)
        await world.kill("a")
        await world.run(7)
        assert b.epochs == []
        await world.run(6)
        assert b.leads and b.epochs == [2]


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_wall_clock_that_steps_by_an_hour_changes_nothing(hours: int) -> None:
    async with a_world() as world:
        a = world.start("a")
        await world.run(1)
        b = world.start("b")
        await world.run(5)
        world.clock.step_wall(hours * 3600)
        await world.run(20)
        assert (a.epochs, b.epochs) == ([1], [])
        await world.kill("a")
        await world.run(7)
        assert b.epochs == []
        await world.run(6)
        assert b.epochs == [2]


async def test_a_stopped_leader_gives_the_lease_back_and_is_followed_soon() -> None:
    async with a_world() as world:
        a = world.start("a")
        await world.run(1)
        b = world.start("b")
        await world.run(3)
        a.elector.stop()
        await world.run(2.5)
        assert world.tasks["a"].done()
        assert b.leads


async def test_the_lease_is_given_back_only_after_the_work_has_ended() -> None:
    async with a_world() as world:
        a = world.start("a")
        await world.run(1)
        a.slow_to_end.clear()
        a.elector.stop()
        await world.run(1)
        assert world.lease.record is not None and world.lease.record.holder == "a"
        a.slow_to_end.set()
        await world.run(1)
        assert world.lease.record.holder == ""


async def test_a_leader_cut_off_stops_at_its_deadline_and_comes_back_by_itself() -> None:
    async with a_world() as world:
        a = world.start("a")
        await world.run(1)
        world.lease.away = True
        await world.run(6.1)
        assert a.leadership is None
        assert not world.tasks["a"].done()
        world.lease.away = False
        await world.run(5)
        assert a.leads and a.epochs == [1, 2]


async def test_a_short_cut_does_not_end_leadership() -> None:
    async with a_world() as world:
        a = world.start("a")
        await world.run(1)
        world.lease.away = True
        await world.run(3)
        world.lease.away = False
        await world.run(20)
        assert a.leads and a.epochs == [1]


async def test_a_renewal_whose_answer_was_lost_is_found_by_reading() -> None:
    async with a_world() as world:
        a = world.start("a")
        await world.run(1)
        world.lease.deaf = True
        await world.run(2.2)
        world.lease.deaf = False
        await world.run(20)
        assert a.leads and a.epochs == [1]


async def test_a_leader_that_is_overwritten_stops_and_stands_by() -> None:
    async with a_world() as world:
        a = world.start("a")
        await world.run(1)
        assert world.lease.record is not None
        world.lease.record = replace(world.lease.record, holder="somebody", version="x", transitions=7)
        await world.run(3)
        assert a.leadership is None
        assert not world.tasks["a"].done()


async def test_a_deleted_lease_is_made_again_under_a_new_epoch() -> None:
    async with a_world() as world:
        a = world.start("a")
        await world.run(1)
        world.lease.record = None
        await world.run(8)
        assert a.leads
        assert a.epochs == [1, 2]


async def test_without_an_epoch_there_is_no_leadership() -> None:
    async with a_world() as world:
        world.fence.away = True
        a = world.start("a")
        await world.run(5)
        assert a.epochs == []
        world.fence.away = False
        await world.run(5)
        assert a.leads


@pytest.mark.parametrize("error", [RuntimeError("boom"), LeadershipLost("a later epoch")])
async def test_work_that_ends_by_itself_gives_the_lease_back(error: Exception) -> None:
    async with a_world() as world:
        a = world.start("a")
        a.fails = error
        await world.run(1)
        assert a.epochs == [1]
        assert world.lease.record is not None and world.lease.record.holder == ""
        a.fails = None
        await world.run(5)
        assert a.leads


async def test_a_leader_that_was_frozen_past_its_lease_knows_that_it_may_not_act() -> None:
    async with a_world() as world:
        a = world.start("a")
        await world.run(1)
        held = a.leadership
        assert held is not None
        world.clock._move_to(world.clock.monotonic() + 60)
        assert not held.valid
        with pytest.raises(LeadershipLost):
            held.check()


async def test_work_that_notices_first_that_the_right_to_act_has_ended_was_not_fenced_out() -> None:
    async with a_world() as world:
        told = list[Moment]()
        a = world.start("a")
        a.elector._announce = lambda moment, _: told.append(moment)
        await world.run(1)
        held = a.leadership
        assert held is not None
        a.fails = LeadershipLost("noticed")
        a.may_fail.set()
        held.end()
        await world.run(1)
        assert Moment.LEADERSHIP_LOST in told and Moment.FENCED_OUT not in told


async def test_work_that_falls_silent_loses_the_lease_and_work_that_does_not_end_keeps_it_from_the_next_election() -> (
    None
):
    async with a_world() as world:
        a = world.start("a")
        await world.run(1)
        heard_at = world.clock.monotonic()
        a.elector._heard_at = lambda: heard_at
        a.slow_to_end.clear()
        await world.run(8)
        assert a.leadership is not None and not a.leadership.valid
        assert world.lease.record is not None and world.lease.record.holder == "a", "given back while work goes on"
        b = world.start("b")
        await world.run(11)
        assert b.leads and a.epochs == [1]
        a.elector._heard_at = lambda: float("inf")
        a.slow_to_end.set()
        await world.run(5)
        assert world.lease.record.holder == "b" and b.leads and a.leadership is None


async def test_a_loss_is_told_at_the_deadline_though_a_renewal_still_waits_for_its_answer() -> None:
    lease, told = MemoryLease(SystemClock()), asyncio.Queue[Moment]()
    elector = Elector(
        lease=lease,
        fence=MemoryFence(),
        identity="a",
        times=Times(lease_duration=2, renew_deadline=0.4, retry_period=0.1, request_timeout=0.2),
        clock=SystemClock(),
        announce=lambda moment, _: told.put_nowait(moment),
    )

    async def work(_: Leadership) -> None:
        await asyncio.Event().wait()

    running = asyncio.create_task(elector.run(work))
    try:
        async with asyncio.timeout(20):
            assert await told.get() is Moment.LEADER_ELECTED
            elector._times = replace(elector._times, request_timeout=60.0)
            lease.silent = True
            assert await told.get() is Moment.LEADERSHIP_LOST
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_the_server_is_not_asked_more_often_than_the_period_says() -> None:
    async with a_world() as world:
        world.start("a")
        await world.run(60)
        assert 25 <= world.lease.writes <= 31
