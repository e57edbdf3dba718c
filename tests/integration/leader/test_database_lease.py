"""Electors on a real database: PostgreSQL and SQLite in turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from leader.database_lease import DatabaseFence, DatabaseLease
from leader.election import Times
from leader.elector import Elector
from leader.leadership import Leadership, LeadershipLost
from leader.lease import LeaseConflict, LeaseUnavailable
from ratchet.clock import SystemClock
from ratchet.persistence.database import Database
from ratchet.persistence.options import DatabaseOptions
from tests.servers.waiting import eventually

TIMES = Times(lease_duration=1, renew_deadline=0.6, retry_period=0.1, request_timeout=0.3)


@pytest_asyncio.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A migrated database, open."""
    opened = Database(DatabaseOptions(url=database_url))
    await opened.open()
    yield opened
    await opened.close()


class Process:
    """One elector of several on the database; notes its epochs."""

    def __init__(self, db: Database, name: str) -> None:
        self.fence = DatabaseFence(db)
        self.leadership: Leadership | None = None
        self.epochs: list[int] = []
        self.elector = Elector(
            lease=DatabaseLease(db, SystemClock()), fence=self.fence, identity=name, times=TIMES, clock=SystemClock()
        )
        self.task = asyncio.create_task(self.elector.run(self.work))

    async def work(self, leadership: Leadership) -> None:
        """Lead until cancelled."""
        self.epochs.append(leadership.epoch)
        self.leadership = leadership
        try:
            await asyncio.Event().wait()
        finally:
            self.leadership = None

    async def end(self) -> None:
        """End without a farewell."""
        self.task.cancel()
        await asyncio.wait([self.task])


@pytest_asyncio.fixture
async def processes(db: Database) -> AsyncIterator[list[Process]]:
    """Three processes."""
    several = [Process(db, f"p{n}") for n in range(3)]
    yield several
    for process in several:
        await process.end()


def leading(processes: list[Process]) -> list[Process]:
    """Return those that may act now."""
    return [p for p in processes if p.leadership is not None and p.leadership.valid]


async def test_a_lease_can_be_made_once_and_replaced_only_from_its_latest_version(db: Database) -> None:
    lease = DatabaseLease(db, SystemClock())
    assert await lease.get() is None
    made = await lease.create(holder="a", duration_seconds=5)
    with pytest.raises(LeaseConflict):
        await lease.create(holder="b", duration_seconds=5)
    renewed = await lease.replace(made, holder="a", duration_seconds=5, transitions=0)
    assert renewed.version != made.version and renewed.uid == made.uid
    with pytest.raises(LeaseConflict):
        await lease.replace(made, holder="b", duration_seconds=5, transitions=1)
    assert await lease.get() == renewed


async def test_each_win_raises_the_epoch_once(db: Database) -> None:
    fence = DatabaseFence(db)
    first = await fence.take(holder="a", lease_uid="u", transitions=0)
    assert first is not None
    assert await fence.take(holder="b", lease_uid="u", transitions=0) is None
    assert await fence.take(holder="b", lease_uid="u", transitions=1) == first + 1
    assert await fence.take(holder="c", lease_uid="made again", transitions=0) == first + 2


async def test_of_many_that_raise_the_epoch_for_one_win_only_one_succeeds(db: Database) -> None:
    fence = DatabaseFence(db)
    async with asyncio.TaskGroup() as racing:
        takes = [racing.create_task(fence.take(holder=f"p{n}", lease_uid="u", transitions=0)) for n in range(5)]
    assert len([take.result() for take in takes if take.result() is not None]) == 1


async def test_never_two_lead_under_one_epoch_however_often_the_leader_dies(
    db: Database, processes: list[Process]
) -> None:
    everyone = list(processes)
    for round_ in range(3):
        await eventually(lambda: len(leading(everyone)) == 1, within=10)
        leader = leading(everyone)[0]
        await leader.end()
        replacement = Process(db, f"r{round_}")
        processes.append(replacement)
        everyone.append(replacement)
    await eventually(lambda: len(leading(everyone)) == 1, within=10)
    epochs = [epoch for process in everyone for epoch in process.epochs]
    assert len(epochs) == len(set(epochs))


async def test_a_stopped_leader_is_followed_without_waiting_for_its_lease(processes: list[Process]) -> None:
    await eventually(lambda: len(leading(processes)) == 1, within=5)
    leader = leading(processes)[0]
    leader.elector.stop()
    others = [p for p in processes if p is not leader]
    await eventually(lambda: len(leading(others)) == 1, within=5)
    assert leader.task.done()


async def test_a_leader_that_slept_through_its_lease_is_fenced(db: Database) -> None:
    """The lease and the epoch go on without it; what it held is refused by the database."""
    fence, lease = DatabaseFence(db), DatabaseLease(db, SystemClock())
    record = await lease.create(holder="frozen", duration_seconds=1)
    epoch = await fence.take(holder="frozen", lease_uid=record.uid, transitions=record.transitions)
    assert epoch is not None
    frozen = Leadership(epoch=epoch, until=float("inf"), now=SystemClock().monotonic)
    await fence.check(frozen)
    next_one = Process(db, "next")
    try:
        await eventually(lambda: len(leading([next_one])) == 1, within=10)
        with pytest.raises(LeadershipLost):
            await fence.check(frozen)
        with pytest.raises(LeaseConflict):
            await lease.replace(record, holder="frozen", duration_seconds=1, transitions=record.transitions)
        assert next_one.epochs == [epoch + 1]
    finally:
        await next_one.end()


async def test_a_database_that_is_away_is_told_as_unavailable() -> None:
    away = Database(DatabaseOptions(url="sqlite:////nowhere/at/all.db"))
    with pytest.raises(LeaseUnavailable):
        await DatabaseLease(away, SystemClock()).get()
    with pytest.raises(LeaseUnavailable):
        await DatabaseFence(away).take(holder="a", lease_uid="u", transitions=0)
    await away.close()
