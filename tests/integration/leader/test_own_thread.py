"""A leader whose election has a thread of its own: what duties that stand still or are busy do to the lease."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from leader.announcing import Announce
from leader.crossing import loop_of_its_own, run_on, tell
from leader.database_lease import DatabaseLease
from leader.duties import Run, Work
from leader.leadership import Leadership
from leader.leading import Leader
from leader.place import session_of
from ratchet.bootstrap import open_runtime
from ratchet.clock import SystemClock
from ratchet.observability import metrics
from ratchet.persistence.database import Database
from ratchet.persistence.options import DatabaseOptions
from ratchet.runtime import Runtime
from tests.servers.waiting import eventually
from tests.world import settings_for

LEASE_SECONDS, DEADLINE_SECONDS, PERIOD_SECONDS = 2.0, 1.2, 0.3
TIMES = {
    "lease_duration_seconds": LEASE_SECONDS,
    "renew_deadline_seconds": DEADLINE_SECONDS,
    "retry_period_seconds": PERIOD_SECONDS,
    "request_timeout_seconds": 0.3,
}
GONE_WITHIN = 2 * DEADLINE_SECONDS + LEASE_SECONDS + 2
PATIENCE = 20.0


async def nothing(rt: Runtime, leadership: Leadership, announce: Announce) -> None:
    """Do nothing."""


IDLE = Work(
    recover=nothing, reconcile=nothing, end_of_day=nothing, rollover=nothing, figures=nothing, housekeeping=nothing
)


@dataclass
class Elsewhere:
    """A leader whose duties have a thread of their own, so that they can be hurt and watched."""

    leader: Leader
    loop: asyncio.AbstractEventLoop
    running: asyncio.Task[None]

    async def stop(self) -> None:
        """Ask for an end and wait for it."""
        tell(self.loop, self.leader.stop)
        await asyncio.wait([self.running], timeout=PATIENCE)
        assert self.running.done()


@asynccontextmanager
async def leading(folder: Path, url: str, rollover: Run = nothing) -> AsyncIterator[Elsewhere]:
    """Run a leader for the time of the block."""
    async with AsyncExitStack() as stack:
        loop = await stack.enter_async_context(loop_of_its_own("duties"))
        made: list[Leader] = []

        async def lead() -> None:
            settings = settings_for(folder, url, "http://127.0.0.1:9", leader=TIMES)
            async with open_runtime(settings, role="leader", session=partial(session_of, settings)) as rt:
                made.append(Leader(rt, replace(IDLE, rollover=rollover)))
                await made[0].run()

        running = asyncio.create_task(run_on(loop, lead))
        await eventually(lambda: made and made[0].leads, within=PATIENCE)
        one = Elsewhere(made[0], loop, running)
        yield one
        await one.stop()


@asynccontextmanager
async def lease_of(url: str) -> AsyncIterator[DatabaseLease]:
    """Open the lease to look at."""
    db = Database(DatabaseOptions(url=url))
    await db.open()
    yield DatabaseLease(db, SystemClock())
    await db.close()


async def test_a_leader_whose_duties_stand_still_loses_the_lease_and_does_not_act_after_it(
    tmp_path: Path, postgres_url: str
) -> None:
    stand, may_act = threading.Event(), list[bool]()

    async def stand_still(rt: Runtime, leadership: Leadership, announce: Announce) -> None:
        stand.wait(60)
        may_act.append(leadership.valid)

    try:
        async with leading(tmp_path, postgres_url, stand_still) as old:
            before = old.leader.standing.epoch
            async with leading(tmp_path, postgres_url) as following:
                assert not old.leader.leads and following.leader.standing.epoch == (before or 0) + 1
                stand.set()
                await eventually(lambda: may_act, within=PATIENCE)
                assert may_act == [False]
                async with lease_of(postgres_url) as lease:
                    record = await lease.get()
                assert record is not None and record.holder == following.leader.identity, "it gave away what it lost"
    finally:
        stand.set()


async def test_duties_that_keep_their_loop_busy_do_not_delay_renewals(tmp_path: Path, postgres_url: str) -> None:
    done = threading.Event()

    async def be_busy(rt: Runtime, leadership: Leadership, announce: Announce) -> None:
        clock = SystemClock()
        until = clock.monotonic() + 2 * LEASE_SECONDS
        while clock.monotonic() < until:
            burst = clock.monotonic() + PERIOD_SECONDS  # a renewal on this loop would come twice as late as it is due
            while clock.monotonic() < burst:
                sum(range(10_000))
            await asyncio.sleep(0)
        done.set()

    async with leading(tmp_path, postgres_url, be_busy) as one:
        renewals = list[float]()

        def over() -> bool:
            renewed_at = one.leader.standing.renewed_at
            if renewed_at is not None and renewed_at not in renewals[-1:]:
                renewals.append(renewed_at)
            return done.is_set()

        await eventually(over, within=PATIENCE)
        assert one.leader.standing.epoch == 1
        gaps = [after - before for before, after in itertools.pairwise(renewals)]
        assert max(gaps) < PERIOD_SECONDS + 0.6, gaps


async def test_the_lease_is_given_back_only_after_the_duties_have_ended(tmp_path: Path, postgres_url: str) -> None:
    begun, may_end = threading.Event(), threading.Event()

    async def end_slowly(rt: Runtime, leadership: Leadership, announce: Announce) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(may_end.wait, 30)

    async with leading(tmp_path, postgres_url, end_slowly) as one, lease_of(postgres_url) as lease:
        await eventually(begun.is_set)
        tell(one.loop, one.leader.stop)
        await eventually(lambda: not one.leader.leads)
        record = await lease.get()
        assert record is not None and record.holder == one.leader.identity
        may_end.set()

        async def given_back() -> bool:
            found = await lease.get()
            return found is not None and found.holder == ""

        await eventually(given_back)


async def test_a_duty_that_does_not_end_at_its_deadline_costs_the_lease(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leader.duties.ROLLOVER_SECONDS", 0.1)
    monkeypatch.setattr("leader.schedule.STUCK_SECONDS", 0.1)
    may_end = threading.Event()

    async def never_end(rt: Runtime, leadership: Leadership, announce: Announce) -> None:
        while not may_end.is_set():
            try:
                await asyncio.to_thread(may_end.wait, 30)
            except asyncio.CancelledError:
                continue  # as a bug might

    async with leading(tmp_path, postgres_url, never_end) as one:
        await eventually(lambda: not one.leader.leads, within=GONE_WITHIN)
        assert not one.leader.alive().ok, "only another process can lead again"
        may_end.set()


async def test_what_only_a_leader_knows_is_shown_no_more_when_it_has_ended(tmp_path: Path, sqlite_url: str) -> None:
    counted = threading.Event()

    async def count(rt: Runtime, leadership: Leadership, announce: Announce) -> None:
        metrics.EQUITY.labels("main", "live").set(5)
        metrics.INCIDENTS_OPEN.labels("orphan").set(1)
        metrics.OLDEST_WAITING_SECONDS.set(7)
        counted.set()

    async with leading(tmp_path, sqlite_url, count) as one:
        await eventually(counted.is_set)
        shown = figures()
        assert shown["ratchet_leader"] == "1.0" and shown["ratchet_leader_epoch"] == "1.0"
        assert float(shown["ratchet_leader_lease_remaining_seconds"]) > 0
        assert 'ratchet_equity_rupees{account="main",mode="live"}' in shown
        await one.stop()
    shown = figures()
    assert shown["ratchet_leader"] == shown["ratchet_leader_epoch"] == "0.0"
    assert shown["ratchet_leader_lease_remaining_seconds"] == "0.0"
    assert shown["ratchet_signals_waiting_oldest_seconds"] == "NaN"
    assert not [name for name in shown if name.startswith(("ratchet_equity_rupees", "ratchet_incidents_open"))]


def figures() -> dict[str, Any]:
    """Return the metrics as they are served."""
    lines = metrics.render().decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


async def test_a_leader_that_is_asked_to_stop_before_it_began_ends_at_once(tmp_path: Path, sqlite_url: str) -> None:
    settings = settings_for(tmp_path, sqlite_url, "http://127.0.0.1:9", leader=TIMES)
    async with open_runtime(settings, role="leader") as rt:
        leader = Leader(rt, IDLE)
        leader.stop()
        async with asyncio.timeout(10):
            await leader.run()
        assert leader.standing.transitions == 0
