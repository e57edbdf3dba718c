"""The lease row, the fence, and the processes that are known."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from ratchet.persistence import instances, leases
from ratchet.persistence.database import Database
from ratchet.persistence.errors import UniqueViolation
from ratchet.persistence.tables import instance
from ratchet.persistence.timeline import server_timeline
from ratchet.persistence.types import db_now

TEN_MINUTES_AGO = update(instance).values(heartbeat_at=db_now(-600))


async def test_a_lease_is_made_once(database: Database) -> None:
    async with database.transaction() as tx:
        assert await leases.read(tx, "leader") is None
        made = await leases.create(tx, "leader", uid="u1", holder="a", duration_seconds=10)
        again = await leases.create(tx, "leader", uid="u2", holder="b", duration_seconds=10)
        assert await leases.read(tx, "leader") == made
    assert made is not None
    assert (made.uid, made.holder, made.transitions, made.version) == ("u1", "a", 0, 1)
    assert again is None


async def test_a_lease_is_replaced_only_over_the_version_that_was_seen(database: Database) -> None:
    async with database.transaction() as tx:
        seen = await leases.create(tx, "leader", uid="u1", holder="a", duration_seconds=10)
    assert seen is not None
    change = {"uid": "u1", "version": seen.version, "duration_seconds": 10}
    async with database.transaction() as tx:
        renewed = await leases.replace(tx, "leader", holder="a", transitions=0, **change)  # type: ignore[arg-type]
        stale = await leases.replace(tx, "leader", holder="b", transitions=1, **change)  # type: ignore[arg-type]
        other = await leases.replace(tx, "leader", uid="u0", version=2, holder="b", duration_seconds=10, transitions=1)
        taken = await leases.replace(tx, "leader", uid="u1", version=2, holder="b", duration_seconds=5, transitions=1)
    assert stale is None
    assert other is None
    assert renewed is not None
    assert taken is not None
    assert (renewed.version, renewed.acquired_at) == (2, seen.acquired_at)
    assert (taken.holder, taken.version, taken.transitions, taken.duration_seconds) == ("b", 3, 1, 5)
    assert taken.renewed_at >= renewed.renewed_at >= seen.renewed_at


async def test_each_win_of_the_lease_raises_the_epoch_once(database: Database) -> None:
    async def take(uid: str, transitions: int) -> int | None:
        async with database.transaction() as tx:
            return await leases.take_epoch(tx, "leader", holder="h", lease_uid=uid, transitions=transitions)

    assert await take("u1", 0) == 1
    assert await take("u1", 0) is None
    assert await take("u1", 1) == 2
    assert await take("u1", 0) is None
    assert await take("u2", 0) == 3, "a lease that was deleted and made again starts at 0"


async def test_only_the_latest_epoch_passes_the_fence(database: Database) -> None:
    async with database.transaction() as tx:
        assert await leases.check_epoch(tx, "leader", 0)
        await leases.take_epoch(tx, "leader", holder="h", lease_uid="u", transitions=0)
        assert not await leases.check_epoch(tx, "leader", 0)
        assert await leases.check_epoch(tx, "leader", 1)
        assert not await leases.check_epoch(tx, "nobody", 1)
        row = await leases.fence(tx, "leader")
    assert row is not None
    assert (row.epoch, row.holder, row.lease_uid, row.lease_transitions) == (1, "h", "u", 0)


async def test_a_process_is_known_until_it_has_stopped_and_been_forgotten(database: Database) -> None:
    lock = Path("/run/ratchet/boot.lock")
    async with database.transaction() as tx:
        await instances.start(tx, boot_id="b1", role="service", host="h", version="1", pod="p", lock_file=lock)
        await instances.start(tx, boot_id="b2", role="leader", host="h", version="1", pod=None, lock_file=None)
        assert [i.boot_id for i in await instances.live(tx, within_seconds=30)] == ["b1", "b2"]
        await tx.count(TEN_MINUTES_AGO)
        assert await instances.live(tx, within_seconds=30) == []
        assert await instances.beat(tx, "b1")
        assert not await instances.beat(tx, "unknown")
        assert [i.boot_id for i in await instances.live(tx, within_seconds=30)] == ["b1"]
        found = await instances.get(tx, "b1")
        assert await instances.get(tx, "unknown") is None
    assert found is not None
    assert (found.lock_file, found.pod, found.stopped_at) == (lock, "p", None)


async def test_only_a_process_that_is_known_to_have_stopped_is_forgotten(database: Database) -> None:
    async with database.transaction() as tx:
        for boot_id in ("stopped", "silent"):
            await instances.start(tx, boot_id=boot_id, role="service", host="h", version="1", pod=None, lock_file=None)
        await instances.stop(tx, "stopped")
        stopped = await instances.get(tx, "stopped")
        await instances.stop(tx, "stopped")
        assert await instances.get(tx, "stopped") == stopped, "the first time counts"
        assert not await instances.beat(tx, "stopped")
        assert await instances.forget(tx, after_seconds=300) == 0
        await tx.count(TEN_MINUTES_AGO)
        assert await instances.forget(tx, after_seconds=300) == 1
        assert [i.boot_id for i in await instances.everyone(tx)] == ["silent"]


async def test_a_boot_id_is_entered_once(database: Database) -> None:
    with pytest.raises(UniqueViolation):
        async with database.transaction() as tx:
            for _ in range(2):
                await instances.start(tx, boot_id="b", role="service", host="h", version="1", pod=None, lock_file=None)
    async with database.reading() as tx:
        assert await tx.all(select(instance)) == []


async def test_the_timeline_names_this_database(database: Database) -> None:
    async with database.transaction() as tx:
        timeline = await server_timeline(tx)
    if database.dialect == "sqlite":
        assert timeline == "sqlite"
    else:
        number, _, system = timeline.partition("-")
        assert number == "00000001"
        assert system.isdigit()
    assert len(timeline) <= 32
