"""Limit orders: repriced rung by rung, cancelled where the ladder ends, and booked for exactly what they filled."""

from __future__ import annotations

import pytest

from ratchet.domain.orders import IntentState, Purpose
from ratchet.execution import entries
from tests.integration.execution.whole.desk import Desk
from tests.world import ACCOUNT, stamp


async def test_an_entry_walks_up_until_it_is_filled(at: Desk) -> None:
    await at.admin("POST", "quotes", {"underlying": "GOLDM", "ltp": "134870", "bid": "134500", "ask": "135000"})
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("executed", "filled")
    (intent,) = await at.intents(row["id"])
    assert intent.rungs == 1
    await at.check()


async def test_an_entry_that_nobody_fills_is_cancelled_at_the_ladders_end(at: Desk) -> None:
    await at.fault("never_fill")
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("failed", "unfilled")
    (intent,) = await at.intents(row["id"])
    assert (intent.state, intent.rungs) == (IntentState.CANCELLED, 2)
    assert [order["status"] for order in await at.orders()] == ["cancelled"]
    assert await at.world.layers() == []
    await at.check()


async def test_a_part_of_an_entry_is_kept_and_the_rest_cancelled(at: Desk) -> None:
    await at.fault("partial_fill", fraction="0.6")
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"], row["detail"]["lots"]) == ("partially_executed", "part_filled", 3)
    (layer,) = await at.world.layers()
    assert (layer.lots, layer.entry_lots, int(layer.margin)) == (3, 3, 3 * 105_000)
    await at.check()
    await at.world.executed("EXIT")
    assert await at.positions() == {}
    await at.check()


async def test_a_put_is_sold_for_what_the_call_has_filled(at: Desk) -> None:
    await at.fault("partial_fill", fraction="0.5", match={"side": "BUY"})
    row = await at.world.executed("BASE_ENTRY", "BANK_NIFTY")
    assert (row["status"], row["reason"], row["detail"]["lots"]) == ("partially_executed", "part_filled", 2)
    (layer,) = await at.world.layers()
    assert sorted(h.quantity for h in layer.holdings) == [-60, 60]
    states = [(i.leg, i.attempt, i.state, i.filled) for i in await at.intents(row["id"])]
    assert states == [
        ("ce", 1, IntentState.PARTIAL, 60),
        ("pe", 1, IntentState.SUPERSEDED, 0),
        ("pe", 2, IntentState.FILLED, 60),
    ]
    await at.check()


async def test_a_call_beyond_its_put_is_sold_again(at: Desk) -> None:
    await at.fault("partial_fill", fraction="0.5", match={"side": "SELL"})
    row = await at.world.executed("BASE_ENTRY", "BANK_NIFTY")
    assert (row["status"], row["detail"]["lots"]) == ("partially_executed", 2)
    (layer,) = await at.world.layers()
    assert sorted(h.quantity for h in layer.holdings) == [-60, 60]
    assert layer.margin == 2 * 270_000
    undone = [i for i in await at.intents(row["id"]) if i.purpose is Purpose.UNWIND]
    assert [i.filled for i in undone] == [60]
    await at.check()


async def test_a_refused_put_undoes_the_call(at: Desk) -> None:
    await at.fault("refuse_4xx", match={"side": "SELL"})
    row = await at.world.executed("BASE_ENTRY", "BANK_NIFTY")
    assert (row["status"], row["reason"]) == ("failed", "unwound")
    assert await at.positions() == {}
    assert await at.world.layers() == []
    purse = await at.world.purse()
    assert purse.reserved == purse.used == 0
    await at.check()


async def test_a_put_that_never_arrived_undoes_the_call(at: Desk) -> None:
    await at.fault("error_500_before", match={"side": "SELL"})
    row = await at.world.executed("BASE_ENTRY", "BANK_NIFTY")
    assert (row["status"], row["reason"]) == ("failed", "unwound")
    assert await at.positions() == {}
    await at.check()


async def test_a_call_that_cannot_be_undone_is_exposed_and_keeps_entries_out(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "UNWIND_TRIES", 2)
    await at.fault("refuse_4xx", match={"side": "SELL"}, unlimited=True)
    row = await at.world.executed("BASE_ENTRY", "BANK_NIFTY", timestamp=stamp(57))
    assert row["status"] == "review"
    assert "exposed" in await at.incidents()
    (layer,) = await at.world.layers()
    assert [h.quantity for h in layer.holdings] == [120]
    await at.check()
    later = await at.world.executed("PYRAMID", "BANK_NIFTY")
    assert (later["status"], later["reason"]) == ("blocked", "exposed")
    other = await at.world.executed("BASE_ENTRY")
    assert other["status"] == "executed"


async def test_a_rate_refusal_of_the_put_is_tried_again(at: Desk) -> None:
    await at.fault("rate_limit_429", match={"side": "SELL"})
    row = await at.world.executed("BASE_ENTRY", "BANK_NIFTY")
    assert (row["status"], row["reason"]) == ("executed", "filled")
    await at.check()


async def test_a_put_in_doubt_is_found_and_kept(at: Desk) -> None:
    await at.fault("accept_then_cut", match={"side": "SELL"})
    row = await at.world.executed("BASE_ENTRY", "BANK_NIFTY")
    assert (row["status"], row["reason"]) == ("executed", "filled")
    await at.check()


async def test_the_fill_of_an_order_is_booked_once_though_the_book_strays(at: Desk) -> None:
    """The broker says `cancelled` once, between two reads that say otherwise."""
    await at.fault("odd_status", text="cancelled", seconds=0.05)
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("executed", "filled")
    (layer,) = await at.world.layers()
    assert (layer.account, layer.lots) == (ACCOUNT, 5)
    await at.check()
