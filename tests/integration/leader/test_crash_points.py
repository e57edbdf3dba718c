"""K18: the lease was won, and the epoch is not taken yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from leader.database_lease import DatabaseFence, DatabaseLease
from leader.election import Times
from ratchet import failpoints
from ratchet.clock import SystemClock
from ratchet.persistence.database import Database
from ratchet.persistence.options import DatabaseOptions
from tests.contract.leader.places import Place, several, start
from tests.servers.waiting import eventually

TIMES = Times(lease_duration=2, renew_deadline=1.2, retry_period=0.2, request_timeout=0.5)


@pytest_asyncio.fixture
async def place(database_url: str) -> AsyncIterator[Place]:
    """A fresh database."""
    db = Database(DatabaseOptions(url=database_url))
    await db.open()

    async def another() -> DatabaseLease:
        return DatabaseLease(db, SystemClock())

    yield Place(another=another, fence=DatabaseFence(db), times=TIMES)
    await db.close()


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


async def test_cut_between_lease_and_epoch_it_leads_a_little_later(place: Place) -> None:
    failpoints.arm("K18:cut")
    async with several(place, "a") as processes:
        await eventually(lambda: processes[0].leads, within=10)
        assert processes[0].epochs == [1]
        assert processes[0].elector.standing.transitions == 1


async def test_dead_between_lease_and_epoch_it_is_followed_after_the_lease(place: Place) -> None:
    failpoints.arm("K18:raise")
    async with several(place, "a") as processes:
        first = processes[0].task
        assert first is not None
        await asyncio.wait([first], timeout=10)
        with pytest.raises(failpoints.FailpointRaised):
            first.result()
        processes.append(await start(place, "b"))
        await eventually(lambda: processes[1].leads, within=10)
        assert processes[0].epochs == [] and processes[1].epochs == [1]


async def test_paused_between_lease_and_epoch_past_its_lease_it_never_leads_beside_the_next(place: Place) -> None:
    """The pause holds this whole process, as SIGSTOP does; meanwhile somebody else takes lease and epoch."""
    failpoints.arm("K18:pause:1.5")
    async with several(place, "a") as processes:
        lease, fence = await place.open(), place.fence
        await eventually(lambda: processes[0].leads, within=10)
        seen = await lease.get()
        assert seen is not None
        taken = await lease.replace(seen, holder="next", duration_seconds=1, transitions=seen.transitions + 1)
        epoch = await fence.take(holder="next", lease_uid=taken.uid, transitions=taken.transitions)
        assert epoch == processes[0].epochs[-1] + 1
        await eventually(lambda: processes[0].leadership is None, within=5)
