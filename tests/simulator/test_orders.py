"""Placing, changing, cancelling, filling."""

from typing import Any

import pytest

from ratchet.brokers.simulator import Mode, SessionRule
from tests.simulator.desk import CALL, COPPER, GOLD, KEY, PUT, Desk, open_desk

TERMS: dict[str, Any] = {
    "strategy": "",
    "symbol": CALL,
    "exchange": "NFO",
    "action": "BUY",
    "product": "NRML",
    "pricetype": "LIMIT",
    "quantity": 60,
    "price": 600,
    "trigger_price": 0,
    "disclosed_quantity": 0,
}


async def test_two_identical_placements_make_two_orders(either: Desk) -> None:
    assert await either.place() != await either.place()
    assert len(await either.orders()) == 2


async def test_a_market_order_fills_at_the_ask_and_a_sale_at_the_bid(live: Desk) -> None:
    await live.place()
    await live.place(symbol=PUT, action="SELL")
    assert [row["average_price"] for row in await live.data("tradebook")] == [652.5, 412.4]
    status, body = await live.call("openposition", strategy="", symbol=PUT, exchange="NFO", product="NRML")
    assert (status, body) == (200, {"status": "success", "quantity": -60})


async def test_an_absent_position_is_zero(live: Desk) -> None:
    _, body = await live.call("openposition", strategy="", symbol=PUT, exchange="NFO", product="NRML")
    assert body["quantity"] == 0


async def test_a_marketable_limit_fills_at_the_last_price_and_a_resting_one_at_its_own(live: Desk) -> None:
    await live.place(pricetype="LIMIT", price=700)
    resting = await live.place(pricetype="LIMIT", price=600)
    assert (await live.status(resting))["order_status"] == "open"
    await live.admin("quotes", {"symbol": CALL, "exchange": "NFO", "ltp": 599.95})
    assert (await live.status(resting))["order_status"] == "complete"
    assert [row["average_price"] for row in await live.data("tradebook")] == [652.45, 600.0]


async def test_a_move_of_the_underlying_fills_resting_options(live: Desk) -> None:
    resting = await live.place(pricetype="LIMIT", price=600)
    await live.admin("quotes", {"underlying": "BANK_NIFTY", "ltp": 57000})
    assert (await live.status(resting))["order_status"] == "complete"


async def test_a_stop_waits_for_its_trigger(either: Desk) -> None:
    stop = await either.place(symbol=COPPER, exchange="MCX", quantity=2500, pricetype="SL-M", trigger_price=920)
    assert (await either.status(stop))["order_status"] == "trigger pending"
    await either.admin("quotes", {"underlying": "COPPER", "ltp": "921.05"})
    assert (await either.status(stop))["order_status"] == "complete"
    assert (await either.data("tradebook"))[0]["average_price"] == 921.05


async def test_numeric_text_and_lower_case_sides_are_taken(live: Desk) -> None:
    order_id = await live.place(quantity="60", price="0", action="buy")
    assert (await live.status(order_id))["action"] == "BUY"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"symbol": "BANKNIFTY25JAN2758001CE"}, "does not exist"),
        ({"symbol": "BANKNIFTY", "exchange": "NSE_INDEX"}, "does not exist"),
        ({"quantity": 31}, "multiples of 30"),
        ({"quantity": 630}, "freeze quantity of 600"),
        ({"pricetype": "LIMIT", "price": 600.03}, "Tick size for this script is 0.05"),
        ({"pricetype": "LIMIT"}, "price is needed"),
        ({"quantity": 30.5}, "whole number"),
    ],
)
async def test_the_broker_refuses_what_cannot_be(live: Desk, changes: dict[str, Any], text: str) -> None:
    status, body = await live.try_to_place(**changes)
    assert (status, body["status"]) == (400, "error")
    assert text in body["message"]
    assert await live.ghosts() == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"symbol": "NOPE"}, "Symbol NOPE not found on NFO"),
        ({"quantity": 31}, "Quantity must be in multiples of lot size 30"),
        ({"pricetype": "LIMIT"}, "LIMIT orders require price"),
        ({"pricetype": "SL", "price": 1}, "SL orders require trigger_price"),
        ({"product": "CNC"}, "CNC product type is not allowed"),
        ({"quantity": 60000}, "Insufficient funds. Required: ₹"),
    ],
)
async def test_the_sandbox_refuses_with_its_own_texts(sandbox: Desk, changes: dict[str, Any], text: str) -> None:
    status, body = await sandbox.try_to_place(**changes)
    assert (status, body["mode"]) == (400, "analyze")
    assert text in body["message"]


async def test_the_sandbox_looks_at_neither_tick_nor_freeze_quantity(sandbox: Desk) -> None:
    await sandbox.place(pricetype="LIMIT", price=0.07, quantity=630)


async def test_a_closing_order_needs_no_money() -> None:
    async with open_desk(mode=Mode.ANALYZE, opening_cash=40_000) as desk:
        await desk.place()
        assert "Insufficient" in (await desk.try_to_place())[1]["message"]
        await desk.place(action="SELL")


async def test_modifying_changes_the_terms_and_can_fill_the_order(live: Desk) -> None:
    resting = await live.place(pricetype="LIMIT", price=600)
    assert await live.call("modifyorder", orderid=resting, **(TERMS | {"price": 610, "quantity": 30})) == (
        200,
        {"status": "success", "orderid": resting},
    )
    row = await live.status(resting)
    assert (row["price"], row["quantity"], row["order_status"]) == (610.0, 30, "open")
    await live.call("modifyorder", orderid=resting, **(TERMS | {"pricetype": "MARKET", "price": 0}))
    assert (await live.status(resting))["order_status"] == "complete"


async def test_what_is_done_cannot_be_modified_or_cancelled(live: Desk) -> None:
    done = await live.place()
    assert (await live.call("modifyorder", orderid=done, **TERMS))[0] == 400
    assert (await live.call("modifyorder", orderid="1", **TERMS))[0] == 400
    status, body = await live.call("cancelorder", strategy="", orderid=done)
    assert (status, body["status"]) == (500, "error")
    assert (await live.call("cancelorder", strategy="", orderid="1"))[0] == 500


async def test_in_the_sandbox_unknown_is_404_and_done_is_400(sandbox: Desk) -> None:
    done = await sandbox.place()
    status, body = await sandbox.call("modifyorder", orderid=done, **TERMS)
    assert (status, body["message"]) == (400, "Cannot modify order in complete status")
    status, body = await sandbox.call("cancelorder", strategy="", orderid=done)
    assert (status, body["message"]) == (400, "Cannot cancel order in complete status")
    assert (await sandbox.call("modifyorder", orderid="1", **TERMS))[0] == 404
    assert (await sandbox.call("cancelorder", strategy="", orderid="1"))[0] == 404


async def test_the_sandbox_ignores_a_changed_price_type(sandbox: Desk) -> None:
    resting = await sandbox.place(pricetype="LIMIT", price=600)
    await sandbox.call("modifyorder", orderid=resting, **(TERMS | {"pricetype": "MARKET", "price": 590}))
    row = await sandbox.status(resting)
    assert (row["price_type"], row["price"], row["order_status"]) == ("LIMIT", 590.0, "open")
    status, _ = await sandbox.call("modifyorder", orderid=resting, **(TERMS | {"trigger_price": 1}))
    assert status == 400


async def test_a_cancelled_order_keeps_its_fills(live: Desk) -> None:
    resting = await live.place(pricetype="LIMIT", price=600)
    await live.admin("fills", {"orderid": resting, "quantity": 30})
    status, body = await live.call("cancelorder", strategy="", orderid=resting)
    assert (status, body) == (200, {"status": "success", "orderid": resting})
    assert (await live.status(resting))["order_status"] == "cancelled"
    assert sum(row["quantity"] for row in await live.data("tradebook")) == 30
    await live.admin("quotes", {"symbol": CALL, "exchange": "NFO", "ltp": 500})
    assert sum(row["quantity"] for row in await live.data("tradebook")) == 30


async def test_an_unknown_order_is_not_found(either: Desk) -> None:
    status, body = await either.call("orderstatus", strategy="", orderid="77")
    assert (status, body["message"]) == (404, "Order 77 not found")


async def test_outside_the_session_the_broker_refuses() -> None:
    async with open_desk(sessions=SessionRule.EXCHANGE) as desk:
        await desk.place()
        await desk.clock.advance(6 * 3600)
        status, body = await desk.try_to_place()
        assert (status, "closed" in body["message"]) == (400, True)
        await desk.place(symbol=GOLD, exchange="MCX", quantity=100)


async def test_the_sandbox_squares_off_mis_at_its_time_and_takes_no_more() -> None:
    async with open_desk(mode=Mode.ANALYZE, sessions=SessionRule.EXCHANGE) as desk:
        await desk.place(product="MIS")
        resting = await desk.place(product="MIS", pricetype="LIMIT", price=600)
        kept = await desk.place(pricetype="LIMIT", price=600)
        await desk.clock.advance(5 * 3600)
        rows = await desk.orders()
        assert [(row["strategy"], row["action"]) for row in rows if row["strategy"] == "AUTO_SQUARE_OFF"] == [
            ("AUTO_SQUARE_OFF", "SELL")
        ]
        assert (await desk.status(resting))["order_status"] == "cancelled"
        assert (await desk.status(kept))["order_status"] == "open"
        assert [row["quantity"] for row in await desk.data("positionbook")] == [0]
        assert len(await desk.orders()) == len(rows)
        assert "square-off time (15:15 IST)" in (await desk.try_to_place(product="MIS"))[1]["message"]


async def test_in_semi_auto_mode_nothing_is_booked(either: Desk) -> None:
    resting = await either.place(pricetype="LIMIT", price=600)
    await either.admin("mode", {"semi_auto": True})
    status, body = await either.try_to_place(symbol="NOPE")
    assert status == 200
    assert (body["status"], body["mode"], "orderid" in body) == ("success", "semi_auto", False)
    live = (await either.admin("state"))["mode"] == "live"
    assert (await either.call("cancelorder", strategy="", orderid=resting))[0] == (403 if live else 200)
    assert len(await either.ghosts()) == 1


async def test_an_order_placed_by_hand_looks_like_any_other(live: Desk) -> None:
    mine = await live.place()
    foreign = await live.admin("foreign-order", {"symbol": CALL, "exchange": "NFO", "action": "BUY", "quantity": 60})
    rows = await live.orders()
    assert [row["orderid"] for row in rows] == [mine, foreign["order"]["order_id"]]
    assert {**rows[0], "orderid": ""} == {**rows[1], "orderid": ""}
    assert [row["origin"] for row in (await live.admin("book"))["orders"]] == ["api", "foreign"]


async def test_the_auditor_sees_each_order_call(live: Desk) -> None:
    order_id = await live.place(pricetype="LIMIT", price=600, key=f"{KEY}-b")
    await live.call("cancelorder", strategy="", orderid=order_id, key=f"{KEY}-b")
    await live.try_to_place(symbol="NOPE")
    await live.call("orderbook")
    calls = (await live.admin("book"))["calls"]
    assert [(row["account"], row["endpoint"]) for row in calls] == [
        ("b", "placeorder"),
        ("b", "cancelorder"),
        ("", "placeorder"),
    ]
    assert calls[0]["at"] == "2027-01-11T05:00:00+00:00"
