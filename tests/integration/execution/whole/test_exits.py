"""Exits: what they close, what they wait for, and that they never sell more than is held."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from ratchet.domain.orders import IntentState, Purpose
from ratchet.domain.positions import LayerStatus
from ratchet.execution import follow
from ratchet.execution.markets import DayCache
from tests.integration.execution.whole.desk import Desk
from tests.servers.waiting import eventually
from tests.world import stamp


async def two_layers(at: Desk) -> None:
    """Open a base layer of gold and a pyramid on it."""
    assert (await at.world.executed("BASE_ENTRY", timestamp=stamp(20)))["status"] == "executed"
    await at.quote("GOLDM", 138000)
    row = await at.world.executed("PYRAMID", price="138000", stop="137000", timestamp=stamp(10))
    assert (row["status"], row["reason"]) == ("executed", "filled")


@pytest.mark.parametrize(
    ("instrument", "underlying", "price", "gain"),
    [("GOLD_MINI", "GOLDM", 135870, 50_000), ("BANK_NIFTY", "BANKNIFTY", 58740, 60_000)],
)
async def test_an_exit_sells_what_is_held_and_books_the_result(
    at: Desk, instrument: str, underlying: str, price: int, gain: int
) -> None:
    """5 lots x 10 rupees x 1000, or 4 lots x 30 rupees x 500, less what the options' ladder gave away."""
    await at.world.executed("BASE_ENTRY", instrument)
    before = (await at.world.purse()).closed_equity
    await at.quote(underlying, price)
    row = await at.world.executed("EXIT", instrument)
    assert (row["status"], row["reason"]) == ("executed", "closed")
    assert abs((await at.world.purse()).closed_equity - before - gain) < gain / 40
    assert await at.positions() == {}
    assert (await at.world.purse()).used == 0
    await at.check()


async def test_the_short_put_is_bought_back_before_the_call_is_sold(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", "BANK_NIFTY")
    await at.world.executed("EXIT", "BANK_NIFTY")
    third, fourth = (await at.orders())[2:]
    assert (third["side"], third["symbol"][-2:]) == ("BUY", "PE")
    assert (fourth["side"], fourth["symbol"][-2:]) == ("SELL", "CE")
    await at.check()


async def test_an_exit_of_one_layer_leaves_the_others(at: Desk) -> None:
    await two_layers(at)
    row = await at.world.executed("EXIT", position="Long_2")
    assert row["reason"] == "closed"
    (left,) = await at.world.layers()
    assert (left.number, left.status) == (1, LayerStatus.OPEN)
    await at.check()


async def test_an_exit_of_all_closes_every_layer_in_one_order_for_each_contract(at: Desk) -> None:
    await two_layers(at)
    held = sum((await at.positions()).values())
    row = await at.world.executed("EXIT")
    assert row["reason"] == "closed"
    last = (await at.orders())[-1]
    assert (last["side"], last["quantity"]) == ("SELL", held)
    assert await at.world.layers() == []
    await at.check()


@pytest.mark.parametrize("instrument", ["GOLD_MINI", "BANK_NIFTY"])
async def test_an_exit_without_a_quote_goes_two_percent_through_the_last_price(at: Desk, instrument: str) -> None:
    await at.world.executed("BASE_ENTRY", instrument)
    await at.fault("error_500_before", endpoint="quotes", unlimited=True)
    row = await at.world.executed("EXIT", instrument)
    assert (row["status"], row["reason"]) == ("executed", "closed")
    bought = {order["symbol"]: Decimal(order["price"]) for order in (await at.orders()) if order["side"] == "BUY"}
    for order in await at.orders():
        last, limit = bought.get(order["symbol"]), Decimal(order["price"])
        if order["side"] == "SELL" and last is not None:
            assert Decimal("0.97") * last < limit < Decimal("0.99") * last
    assert await at.positions() == {}
    await at.check()


async def test_an_option_of_which_no_price_is_known_waits_for_its_quote(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", "BANK_NIFTY")
    at.world.pod.markets._seen = DayCache()  # as in a process that has just started
    await at.fault("error_500_before", endpoint="quotes", times=4)  # one look's three tries, and one more
    row = await at.world.executed("EXIT", "BANK_NIFTY")
    assert (row["status"], row["reason"]) == ("executed", "closed")
    assert {intent.attempt for intent in await at.intents(row["id"])} == {1}
    await at.check()


async def test_an_exit_with_nothing_open_is_a_no_op(at: Desk) -> None:
    row = await at.world.executed("EXIT")
    assert (row["status"], row["reason"]) == ("executed", "no_open_position")
    await at.check()


async def test_a_pyramid_after_its_base_has_gone_is_blocked(at: Desk) -> None:
    await two_layers(at)
    await at.world.executed("EXIT", position="Long_1")
    row = await at.world.executed("PYRAMID", position="Long_3", price="138000", stop="137000", timestamp=stamp(-4))
    assert (row["status"], row["reason"]) == ("blocked", "no_base_position")
    await at.check()


async def test_an_exit_overtakes_an_entry_that_waits(at: Desk) -> None:
    """The pyramid waits behind a slow base; the exit supersedes it, then closes what the base has bought."""
    await at.fault("never_fill", seconds=0.5)
    base = await at.world.send("BASE_ENTRY", timestamp=stamp(5))
    await at.reaches(base, IntentState.WORKING)
    pyramid = await at.world.send("PYRAMID", timestamp=stamp(4))
    closing = await at.world.send("EXIT", timestamp=stamp(3))
    assert (await at.world.ended(pyramid.id))["reason"] == "superseded_by_exit"
    assert (await at.world.ended(closing.id))["status"] == "executed"
    assert (await at.world.ended(base.id))["status"] != "processing"
    assert await at.positions() == {}
    await at.check()


async def test_an_entry_and_its_exit_at_the_same_moment_end_flat(at: Desk) -> None:
    """However they interleave: nobody waits for ever, and nothing stays open."""
    now = stamp(1)
    base, closing = await asyncio.gather(
        at.world.send("BASE_ENTRY", timestamp=now), at.world.send("EXIT", timestamp=now)
    )
    assert (await at.world.ended(base.id))["status"] in ("executed", "rejected")
    assert (await at.world.ended(closing.id))["status"] == "executed"
    if (await at.world.row(base.id))["seq"] < (await at.world.row(closing.id))["seq"]:
        assert await at.positions() == {}
    await at.check()


async def test_an_entry_older_than_an_accepted_exit_is_superseded(at: Desk) -> None:
    await at.world.executed("EXIT", timestamp=stamp(2))
    row = await at.world.executed("BASE_ENTRY", timestamp=stamp(10))
    assert (row["status"], row["reason"]) == ("rejected", "superseded_by_exit")
    await at.check()


async def test_a_working_entry_is_cancelled_when_an_exit_overtakes_it(at: Desk) -> None:
    """Half of it has filled: the rest is not wanted any more, and the half is sold."""
    await at.fault("partial_fill", fraction="0.6")
    base = await at.world.send("BASE_ENTRY", timestamp=stamp(5))

    async def part() -> bool:
        return any(i.filled == 300 for i in await at.intents(base))

    await eventually(part)
    row = await at.world.executed("EXIT", timestamp=stamp(3))
    assert (row["status"], row["reason"]) == ("executed", "closed")
    entry = await at.world.ended(base.id)
    assert (entry["status"], entry["reason"]) == ("partially_executed", "part_filled")
    assert await at.positions() == {}
    await at.check()


async def test_an_exit_waits_for_an_entry_in_doubt_and_sells_what_it_turns_out_to_have_bought(at: Desk) -> None:
    await at.fault("hang_then_book", seconds=2.2)
    base = await at.world.send("BASE_ENTRY", timestamp=stamp(5))
    await at.reaches(base, IntentState.SENDING, IntentState.UNKNOWN)
    row = await at.world.executed("EXIT", timestamp=stamp(1))
    assert (row["status"], row["reason"]) == ("executed", "closed")
    assert await at.positions() == {}
    await at.check()


async def test_a_synthetic_whose_put_an_exit_forbids_is_unwound(at: Desk) -> None:
    await at.fault("slow", seconds=0.6, match={"side": "BUY"})
    base = await at.world.send("BASE_ENTRY", "BANK_NIFTY", timestamp=stamp(5))
    await at.reaches(base, IntentState.SENDING)
    row = await at.world.executed("EXIT", "BANK_NIFTY", timestamp=stamp(1))
    assert row["status"] == "executed"
    entry = await at.world.ended(base.id)
    assert (entry["status"], entry["reason"]) == ("failed", "unwound")
    assert [i.purpose for i in await at.intents(base) if i.filled] == [Purpose.ENTRY, Purpose.UNWIND]
    assert await at.positions() == {}
    await at.check()


async def test_two_exits_of_one_layer_sell_it_once(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(10))
    await at.fault("slow", seconds=0.4, match={"side": "SELL"})
    both = await asyncio.gather(
        at.world.send("EXIT", position="Long_1", timestamp=stamp(1)), at.world.send("EXIT", timestamp=stamp(1))
    )
    rows = [await at.world.ended(receipt.id) for receipt in both]
    assert sorted(row["reason"] for row in rows) == ["closed", "no_open_position"]
    assert sum(order["filled"] for order in await at.orders() if order["side"] == "SELL") == 500
    assert await at.positions() == {}
    await at.check()


async def test_an_exit_outside_the_session_waits_for_the_next_one(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(5))
    await at.close_exchange()
    receipt = await at.world.send("EXIT")

    async def waits() -> bool:
        row = await at.world.row(receipt.id)
        return "not_before" in (row["detail"] or {}) and row["owner"] is None

    await eventually(waits)
    assert (await at.world.row(receipt.id))["status"] == "processing"
    await at.open_exchange()
    await at.wake()
    assert (await at.world.ended(receipt.id))["reason"] == "closed"
    await at.check()


async def test_a_refused_exit_is_corrected_once_and_then_a_persons(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(5))
    await at.fault("refuse_4xx", times=2)
    row = await at.world.executed("EXIT")
    assert row["status"] == "review"
    assert [i.state for i in await at.intents(row["id"])] == [IntentState.REFUSED] * 2
    assert "exit_stuck" in await at.incidents()
    await at.check()


async def test_an_exit_refused_once_goes_again(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(5))
    await at.fault("refuse_4xx")
    row = await at.world.executed("EXIT")
    assert (row["status"], row["reason"]) == ("executed", "closed")
    await at.check()


async def test_an_exit_that_never_arrived_is_sent_again_once_its_absence_is_proven(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(5))
    await at.fault("error_500_before", endpoint="placeorder")
    row = await at.world.executed("EXIT")
    assert (row["status"], row["reason"]) == ("executed", "closed")
    assert [i.state for i in await at.intents(row["id"])] == [IntentState.NOT_PLACED, IntentState.FILLED]
    await at.check()


async def test_an_exit_walks_down_until_it_is_filled(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(5))
    await at.admin("POST", "quotes", {"underlying": "GOLDM", "ltp": "134870", "bid": "134800", "ask": "135200"})
    row = await at.world.executed("EXIT")
    assert row["reason"] == "closed"
    (intent,) = await at.intents(row["id"])
    assert intent.rungs == 1
    await at.check()


async def test_an_exit_that_has_moved_as_often_as_allowed_goes_on_with_another_order(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_MODIFICATIONS", 2)
    await at.world.executed("BASE_ENTRY", timestamp=stamp(5))
    await at.fault("never_fill")
    row = await at.world.executed("EXIT")
    assert row["reason"] == "closed"
    assert [i.state for i in await at.intents(row["id"])] == [IntentState.CANCELLED, IntentState.FILLED]
    await at.check()


async def test_the_rest_of_a_cut_exit_is_sold_by_the_next_order(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(5))
    await at.fault("partial_fill", fraction="0.4", match={"side": "SELL"})
    receipt = await at.world.send("EXIT")

    async def part() -> str | None:
        return next((i.broker_order_id for i in await at.intents(receipt) if i.filled), None)

    order = await eventually(part)
    await at.cancel(str(order))
    row = await at.world.ended(receipt.id)
    assert (row["status"], row["reason"]) == ("executed", "closed")
    assert [i.filled for i in await at.intents(receipt)] == [200, 300]
    await at.check()


async def test_switched_off_exits_wait_and_go_on(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(5))
    await at.switch(entries=False, exits=False)
    receipt = await at.world.send("EXIT")
    await at.reaches(receipt, IntentState.PENDING)
    await at.switch(entries=False, exits=True)
    row = await at.world.ended(receipt.id)
    assert row["reason"] == "closed"
    assert sum(order["filled"] for order in await at.orders() if order["side"] == "SELL") == 500
    await at.check()


async def test_an_exit_behind_an_entry_in_review_stays_open_and_holds(at: Desk) -> None:
    await at.fault("wrong_mode", booked=False)
    base = await at.world.executed("BASE_ENTRY", timestamp=stamp(5))
    assert base["status"] == "review"
    receipt = await at.world.send("EXIT")

    async def waits() -> bool:
        row = await at.world.row(receipt.id)
        return row["status"] == "processing" and row["owner"] is None

    await eventually(waits)
    assert await at.intents(receipt) == []
    later = await at.world.executed("PYRAMID", timestamp=stamp(-4))
    assert (later["status"], later["reason"]) == ("blocked", "exposed")
    assert (await at.world.row(receipt.id))["status"] == "processing"
    await at.check()
