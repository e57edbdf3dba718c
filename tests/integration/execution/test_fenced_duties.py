"""Whatever a duty is about to write when another leader takes over is not written, and the leader steps down."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from leader import door
from leader.announcing import Announce, to_nobody
from leader.database_lease import DatabaseFence
from leader.door import behind_the_door
from leader.duties import Run, table
from leader.leadership import Leadership, LeadershipLost
from leader.leading import Leader
from leader.work import WORK
from ratchet.brokers.base import SessionTimes
from ratchet.clock import SystemClock
from ratchet.domain.signals import SignalStatus
from ratchet.failpoints import Failpoint
from ratchet.observability import metrics
from ratchet.persistence import instances, leases
from ratchet.persistence.database import Database, DatabaseOptions
from ratchet.persistence.leases import FencedOut
from ratchet.persistence.tables import metadata
from ratchet.runtime import Runtime
from tests.contract.persistence.rows import add_signal
from tests.fakes.broker import MemoryBroker
from tests.integration.execution.conftest import PatientClock
from tests.integration.execution.seeds import a_book_order, add_layer
from tests.integration.execution.test_endofday import in_time, see
from tests.servers.waiting import eventually

ABOUT_LEADERS = {"leader_fence", "lease"}
Seed = Callable[[Runtime, MemoryBroker, PatientClock], Awaitable[None]]


async def left_behind(rt: Runtime, _: MemoryBroker, __: PatientClock) -> None:
    """A process of this host that is dead, and a signal that nobody has taken."""
    free = rt.settings.home / "free.lock"
    free.touch()
    async with rt.db.transaction() as tx:
        host = os.uname().nodename
        await instances.start(tx, boot_id="dead", role="service", host=host, version="1", pod=None, lock_file=free)
        await add_signal(tx, SignalStatus.ACCEPTED, signal_ts=await tx.now() - timedelta(hours=1))


async def strange_books(rt: Runtime, broker: MemoryBroker, _: PatientClock) -> None:
    """An order at the broker that nobody owns, and a layer that the broker does not show."""
    broker.orders = [a_book_order("7001")]
    async with rt.db.transaction() as tx:
        await add_layer(tx, 100)


async def a_view_before_the_close(rt: Runtime, broker: MemoryBroker, clock: PatientClock) -> None:
    in_time(broker, clock)
    await see(rt, long_entry=True)


async def a_day(rt: Runtime, broker: MemoryBroker, _: PatientClock) -> None:
    """A signal of today and a layer whose bars stay away."""
    now = SystemClock().now()
    broker.sessions = [SessionTimes(exchange="MCX", opens=now - timedelta(hours=1), closes=now + timedelta(hours=1))]
    async with rt.db.transaction() as tx:
        await add_signal(tx, SignalStatus.EXECUTED, received_at=await tx.now())
        await add_layer(tx, 100)


async def old_rows(rt: Runtime, broker: MemoryBroker, _: PatientClock) -> None:
    """Months to make, a signal and a process to forget, expiries that differ from the rules."""
    now = SystemClock().now()
    broker.sessions = [
        SessionTimes(exchange=name, opens=now - timedelta(hours=1), closes=now + timedelta(hours=1))
        for name in ("MCX", "NFO")
    ]
    keep = timedelta(days=rt.settings.execution.retention_days)
    async with rt.db.transaction() as tx:
        old = (await tx.now() - keep - timedelta(days=70)).replace(microsecond=0)
        await add_signal(tx, SignalStatus.EXECUTED, fingerprint="old", signal_ts=old)

    async def expiries(*_: object, **__: object) -> list[date]:
        return [(now + timedelta(days=n)).date() for n in (3, 5, 7)]

    broker.expiries = expiries  # type: ignore[method-assign]


DUTIES: dict[str, tuple[Run, Seed]] = {
    "recover": (WORK.recover, left_behind),
    "reconcile": (WORK.reconcile, strange_books),
    "end_of_day": (WORK.end_of_day, a_view_before_the_close),
    "figures": (WORK.figures, a_day),
    "housekeeping": (WORK.housekeeping, old_rows),
}


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Database]:
    """The database as another process sees it."""
    db = Database(DatabaseOptions(url=database_url))
    await db.open()
    yield db
    await db.close()


async def followed(other: Database, number: int) -> int:
    """Take the epoch as another leader does, and return it."""
    async with other.transaction(name="test") as tx:
        epoch = await leases.take_epoch(tx, "leader", holder="other", lease_uid=f"lease {number}", transitions=1)
    assert epoch is not None
    return epoch


async def rows(db: Database) -> dict[str, list[str]]:
    """Return all that is stored, but for what leaders say of themselves."""
    found = {}
    async with db.transaction(name="test") as tx:
        for name, stored in metadata.tables.items():
            if name not in ABOUT_LEADERS:
                found[name] = sorted(str(dict(row)) for row in await tx.all(select(stored)))
    return found


def leading(epoch: int) -> Leadership:
    return Leadership(epoch=epoch, until=float("inf"), now=time.monotonic)


class Trap:
    """At its n-th transaction in a pass, another leader takes over."""

    def __init__(self, other: Database, nth: int) -> None:
        self.other = other
        self.nth = nth
        self.passed = 0
        self.before: dict[str, list[str]] = {}

    async def __call__(self, _: Failpoint) -> None:
        self.passed += 1
        if self.passed == self.nth:
            await followed(self.other, self.nth)
            self.before = await rows(self.other)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", DUTIES)
async def test_a_leader_that_is_followed_at_any_transaction_of_a_duty_writes_nothing_more(
    name: str,
    rt: Runtime,
    broker: MemoryBroker,
    clock: PatientClock,
    other: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    duty = next(duty for duty in table(rt, WORK, DatabaseFence(rt.db)) if duty.name == name)
    await DUTIES[name][1](rt, broker, clock)
    began = await rows(other)
    epoch = await followed(other, 0)
    struck = 0
    while True:
        trap = Trap(other, struck + 1)
        monkeypatch.setattr(door, "reach", trap)
        try:
            await duty.run(leading(epoch))
        except LeadershipLost:
            assert trap.passed >= trap.nth
            assert await rows(other) == trap.before, f"written after transaction {trap.nth}"
        else:
            break
        struck += 1
        epoch += 1
    assert struck >= 2, "each duty writes at several points"
    assert trap.passed < trap.nth
    assert await rows(other) != began, "in the end the duty has done its work"


@pytest.mark.parametrize("name", DUTIES)
async def test_a_stale_leader_writes_nothing_on_either_database(
    name: str, rt: Runtime, broker: MemoryBroker, clock: PatientClock
) -> None:
    run, seed = DUTIES[name]
    await seed(rt, broker, clock)
    epoch = await followed(rt.db, 0)
    before = await rows(rt.db)
    with pytest.raises((FencedOut, BaseExceptionGroup)) as caught:
        await run(behind_the_door(rt, leading(epoch - 1)), leading(epoch - 1), to_nobody)
    assert caught.group_contains(FencedOut) if isinstance(caught.value, BaseExceptionGroup) else True
    assert await rows(rt.db) == before


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_statement_that_would_commit_by_itself_is_fenced_too(rt: Runtime, other: Database) -> None:
    epoch = await followed(other, 0)
    stale = behind_the_door(rt, leading(epoch - 1))
    with pytest.raises(FencedOut):
        async with stale.db.single(name="views"):
            raise AssertionError("the block was entered")


async def test_a_leader_that_is_fenced_out_steps_down_and_leads_again_later(
    rt: Runtime, database_url: str, tmp_path: Path
) -> None:
    seen: list[int] = []

    async def overtaken(inner: Runtime, leadership: Leadership, announce: Announce) -> object:
        seen.append(leadership.epoch)
        if len(seen) == 1:
            await followed(rt.db, 1)
        async with inner.db.transaction(name="enter") as tx:
            fields: dict[str, Any] = {"role": "leader", "host": "h", "version": "1", "pod": None, "lock_file": None}
            await instances.start(tx, boot_id=f"epoch {leadership.epoch}", **fields)
        await asyncio.Event().wait()
        return None

    fenced_out = metrics.LEADER_FENCED_OUT._value.get()
    leader = Leader(replace(rt, clock=SystemClock()), replace(WORK, recover=overtaken))
    running = asyncio.create_task(leader.run())
    try:
        await eventually(lambda: len(seen) == 2, within=15.0)
        assert seen[1] > seen[0] + 1, "the epoch of the other one is between"
        assert metrics.LEADER_FENCED_OUT._value.get() == fenced_out + 1

        async def entered() -> set[str]:
            async with rt.db.transaction(name="test") as tx:
                return {str(one.boot_id) for one in await instances.everyone(tx)}

        await eventually(lambda: _holds(entered, f"epoch {seen[1]}"))
        assert f"epoch {seen[0]}" not in await entered()
    finally:
        leader.stop()
        running.cancel()
        await asyncio.wait([running])


async def _holds(entered: Callable[[], Awaitable[set[str]]], name: str) -> bool:
    return name in await entered()
