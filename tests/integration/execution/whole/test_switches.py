"""What stops sending: the kill switch, the day's loss, the order budget, and a signal that cannot be processed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import update

from ratchet.domain.orders import IntentState
from ratchet.domain.positions import LayerStatus
from ratchet.execution import exits, intend, reconcile
from ratchet.persistence.tables import control
from tests.integration.execution.whole.desk import Desk, desk
from tests.servers.waiting import eventually
from tests.world import stamp


async def test_the_kill_switch_blocks_entries_and_lets_exits_go(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(30))
    await at.switch(entries=False)
    row = await at.world.executed("BASE_ENTRY", "COPPER")
    assert (row["status"], row["reason"]) == ("blocked", "kill_switch")
    assert (await at.world.executed("EXIT"))["reason"] == "closed"
    await at.check()


async def test_an_entry_between_its_legs_is_undone_when_the_switch_falls(at: Desk) -> None:
    await at.fault("slow", seconds=0.5, match={"side": "BUY"})
    receipt = await at.world.send("BASE_ENTRY", "BANK_NIFTY")
    await at.reaches(receipt, IntentState.SENDING)
    await at.switch(entries=False)
    row = await at.world.ended(receipt.id)
    assert (row["status"], row["reason"]) == ("failed", "unwound")
    assert await at.positions() == {}
    await at.check()


async def test_the_days_loss_switches_entries_off(at: Desk) -> None:
    """5 lots of gold lose 3,200 x 10 rupees each: 1,60,000 of 50 lakh are more than 3 percent."""
    await at.world.executed("BASE_ENTRY", timestamp=stamp(30))
    await at.quote("GOLDM", 131670)
    await at.world.executed("EXIT", timestamp=stamp(20))
    row = await at.world.executed("BASE_ENTRY", "COPPER")
    assert (row["status"], row["reason"]) == ("blocked", "kill_switch")
    assert await at.switches() == (False, True)
    assert "kill_switch" in await at.incidents()
    await at.check()


async def test_a_loss_below_the_limit_switches_nothing_off(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(30))
    await at.quote("GOLDM", 132370)
    await at.world.executed("EXIT", timestamp=stamp(20))
    assert (await at.world.executed("BASE_ENTRY", "COPPER"))["status"] == "executed"
    await at.check()


async def test_entries_wait_for_the_order_budget_and_leave_exits_their_part(database_url: str, tmp_path: Path) -> None:
    """2 calls a second, one of them for exits: entries go one a second."""
    budget = {"kind": "simulator", "orders_per_second": 2, "orders_per_second_for_exits": 1}
    async with desk(tmp_path, database_url, broker=budget) as at:
        names = ("GOLD_MINI", "SILVER_MINI", "COPPER")
        receipts = await asyncio.gather(*(at.world.send("BASE_ENTRY", name) for name in names))
        for receipt in receipts:
            assert (await at.world.ended(receipt.id))["status"] == "executed"
        calls = [call["at"][:19] for call in (await at.admin("GET", "book"))["calls"]]
        assert len(set(calls)) >= 2
        await at.check()


async def test_an_entry_that_fails_again_and_again_is_poisoned_and_leaves_nothing(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(intend, "_size", broken)
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("failed", "poisoned")
    assert "a mistake of ours" in row["error"]
    assert await at.incidents() == ["poisoned"]
    await at.check()


async def test_a_poisoned_exit_frees_its_layer_for_the_next_one(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(30))

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    with monkeypatch.context() as patched:
        patched.setattr(exits, "drive", broken)
        row = await at.world.executed("EXIT", timestamp=stamp(10))
        assert (row["status"], row["reason"]) == ("failed", "poisoned")
    (layer,) = await at.world.layers()
    assert layer.status is LayerStatus.OPEN
    await at.check()
    assert (await at.world.executed("EXIT", timestamp=stamp(9)))["reason"] == "closed"
    await at.check()


async def test_no_order_is_sent_before_the_books_were_audited(at: Desk) -> None:
    async with at.world.rt.db.transaction(name="test") as tx:
        await tx.count(update(control).values(audited_timeline=None))
    receipt = await at.world.send("BASE_ENTRY")
    await at.reaches(receipt, IntentState.PENDING)

    async def given_back() -> bool:
        return (await at.world.row(receipt.id))["owner"] is None

    await eventually(given_back)
    assert await at.orders() == []
    await reconcile.run(at.world.rt)
    assert (await at.world.ended(receipt.id))["status"] == "executed"
    await at.check()
