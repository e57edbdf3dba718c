"""Two leaders and one position: whoever is later, faster or frozen, each leg is sent once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from leader import door
from leader.database_lease import DatabaseFence
from leader.door import EVIDENCE, behind_the_door
from leader.duties import table
from leader.leadership import Leadership, LeadershipLost
from leader.work import WORK
from ratchet.bootstrap import open_runtime
from ratchet.domain.orders import IntentState
from ratchet.execution import rollover, submit
from ratchet.failpoints import Failpoint
from ratchet.persistence import intents, leases, rollovers
from ratchet.persistence.database import Database, DatabaseOptions
from ratchet.persistence.tables import metadata
from ratchet.persistence.tables import rollover as rolls
from ratchet.persistence.types import db_now
from ratchet.runtime import Runtime
from tests.integration.execution.test_rollover import books_agree, due_at_once
from tests.world import World, world

ABOUT_LEADERS = {"leader_fence", "lease", "instance", "market"}
"""Besides what leaders say of themselves: the pod's heartbeats, and prices seen."""


@asynccontextmanager
async def another(w: World) -> AsyncIterator[Runtime]:
    """Open the runtime of another process in which the same layers are due."""
    async with open_runtime(w.settings, role="leader") as rt:
        await rt.db.open()
        yield due_at_once(rt, "BANK_NIFTY")


async def expire_holds(rt: Runtime) -> None:
    """Let every hold on a roll run out."""
    async with rt.db.transaction(name="test") as tx:
        await tx.count(update(rolls).values(lease_until=db_now(-1.0)))


async def orders_of(w: World) -> list[tuple[str, str, int]]:
    """Return symbol, side and units of every roll order that the broker has."""
    async with w.rt.db.single(name="test") as tx:
        (rolling,) = await tx.all(select(rolls.c.id))
        found = await intents.of_origin(tx, w.account, str(rolling["id"]))
    names = {i.broker_order_id for i in found}
    book = await w.rt.broker(w.account).book()
    return sorted((o.symbol, str(o.side), o.quantity) for o in book if o.order_id in names)


async def rolled_once(w: World) -> None:
    """The layer is in the new contract, by one order for each leg, and every book agrees."""
    (layer,) = await w.layers()
    async with w.rt.db.single(name="test") as tx:
        rows = await tx.all(select(rolls.c.state))
    assert [row["state"] for row in rows] == ["rolled"]
    orders = await orders_of(w)
    assert len(orders) == len({(symbol, side) for symbol, side, _ in orders}) == 4
    assert len([h for h in layer.holdings if h.quantity]) == 2
    await books_agree(w)


async def test_two_that_begin_at_the_same_moment_begin_one_roll(tmp_path: Path, postgres_url: str) -> None:
    """Even if the second one sees another contract than the first: the database decides it."""
    async with world(tmp_path, postgres_url) as w:
        await w.executed("BASE_ENTRY", "BANK_NIFTY")
        (layer,) = await w.layers()
        inserted, go = asyncio.Event(), asyncio.Event()

        async def first() -> bool:
            async with w.rt.db.transaction(name="test") as tx:
                begun = await rollovers.begin(tx, layer, old_contract="A+B", detail={})
                inserted.set()
                await go.wait()
                return begun

        async def second() -> bool:
            await inserted.wait()
            async with w.rt.db.transaction(name="test") as tx:
                asyncio.get_running_loop().call_later(0.05, go.set)
                return await rollovers.begin(tx, layer, old_contract="A", detail={})

        assert list(await asyncio.gather(first(), second())) == [True, False]


async def test_two_that_roll_the_same_position_at_once_roll_it_once(tmp_path: Path, database_url: str) -> None:
    async with world(tmp_path, database_url) as w, another(w) as one, another(w) as two:
        await w.executed("BASE_ENTRY", "BANK_NIFTY")

        done = await asyncio.gather(rollover.run(one), rollover.run(two))

        assert sum(part.begun for part in done) == 1
        assert sum(part.rolled for part in done) == 1
        await rolled_once(w)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
async def test_one_whose_hold_runs_out_at_a_step_is_followed_and_sends_nothing_more(
    step: int, tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, sqlite_url) as w, another(w) as one, another(w) as two:
        await w.executed("BASE_ENTRY", "BANK_NIFTY")
        steps = 0
        followed: list[rollover.Pass] = []

        async def stall(point: Failpoint) -> None:
            nonlocal steps
            steps += 1
            if steps == step and not followed:
                await expire_holds(w.rt)
                followed.append(await rollover.run(two))

        monkeypatch.setattr(rollover, "reach", stall)
        done = await rollover.run(one)

        assert [part.rolled for part in followed] == [1]
        assert (done.rolled, done.failed) == (0, 0)
        await rolled_once(w)


async def test_one_whose_hold_runs_out_before_its_permission_gets_none(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, sqlite_url) as w, another(w) as one, another(w) as two:
        await w.executed("BASE_ENTRY", "BANK_NIFTY")
        followed: list[rollover.Pass] = []

        async def stall(point: Failpoint) -> None:
            if point is Failpoint.K6 and not followed:
                followed.append(rollover.Pass(begun=0, rolled=0, failed=0, waiting=0))
                await expire_holds(w.rt)
                followed.append(await rollover.run(two))

        monkeypatch.setattr(submit, "reach", stall)
        done = await rollover.run(one)

        assert followed[-1].rolled == 1
        assert (done.rolled, done.failed) == (0, 0)
        await rolled_once(w)


async def stored(db: Database) -> dict[str, list[str]]:
    found = {}
    async with db.transaction(name="test") as tx:
        for name, columns in metadata.tables.items():
            if name not in ABOUT_LEADERS:
                found[name] = sorted(str(dict(row)) for row in await tx.all(select(columns)))
    return found


async def test_a_leader_that_is_followed_at_any_transaction_of_a_roll_writes_nothing_more(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except what the broker has answered to an order that was sent before: that is true whoever leads."""
    async with world(tmp_path, postgres_url) as w:
        await w.executed("BASE_ENTRY", "BANK_NIFTY")
        told: list[str] = []
        outside = Database(DatabaseOptions(url=postgres_url))
        watched = Database(DatabaseOptions(url=postgres_url), observe=lambda name, _, how: told.append(f"{name} {how}"))
        await outside.open()
        await watched.open()
        rt = replace(due_at_once(w.rt, "BANK_NIFTY"), db=watched)
        duty = next(duty for duty in table(rt, WORK, DatabaseFence(outside)) if duty.name == "rollover")
        epoch, struck = await _followed(outside, 0), 0
        while True:
            before: dict[str, Any] = {}
            passed = 0

            async def trap(_: Failpoint, nth: int = struck + 1, before: dict[str, Any] = before) -> None:
                nonlocal passed
                passed += 1
                if passed == nth:
                    await _followed(outside, nth)
                    before |= await stored(outside)
                    told.clear()

            monkeypatch.setattr(door, "reach", trap)
            try:
                await duty.run(Leadership(epoch=epoch, until=float("inf"), now=time.monotonic))
            except LeadershipLost:
                written = {one.removesuffix(" ok") for one in told if one.endswith(" ok")}
                assert written <= EVIDENCE, f"transaction {struck + 1}"
                assert written or await stored(outside) == before, f"transaction {struck + 1}"
            else:
                break
            struck += 1
            epoch += 1
            await expire_holds(w.rt)
        assert struck >= 10
        await rolled_once(w)
        await watched.close()
        await outside.close()


async def _followed(db: Database, number: int) -> int:
    async with db.transaction(name="test") as tx:
        epoch = await leases.take_epoch(tx, "leader", holder="other", lease_uid=f"lease {number}", transitions=1)
    assert epoch is not None
    return epoch


async def test_a_right_to_act_that_ends_between_permission_and_post_sends_nothing_and_leaves_the_leg_pending(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, sqlite_url) as w:
        await w.executed("BASE_ENTRY", "BANK_NIFTY")
        ours = len(await w.rt.broker(w.account).book())
        leadership = Leadership(epoch=0, until=float("inf"), now=time.monotonic)

        async def permitted(point: Failpoint) -> None:
            if point is Failpoint.K8:
                leadership.end()

        monkeypatch.setattr(submit, "reach", permitted)
        rt = behind_the_door(due_at_once(w.rt, "BANK_NIFTY"), leadership)
        with pytest.raises(LeadershipLost):
            await rollover.run(rt, may_act=leadership.check)

        assert len(await w.rt.broker(w.account).book()) == ours
        async with w.rt.db.single(name="test") as tx:
            (rolling,) = await tx.all(select(rolls.c.id))
            (leg,) = await intents.of_origin(tx, w.account, str(rolling["id"]))
        assert leg.state is IntentState.PENDING
        monkeypatch.undo()
        assert (await rollover.run(due_at_once(w.rt, "BANK_NIFTY"))).rolled == 1
        await rolled_once(w)
