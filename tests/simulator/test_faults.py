"""Every fault: what the client sees, and what the broker has booked."""

import asyncio
from typing import Any

import aiohttp
import pytest

from ratchet.brokers.simulator import Mode
from ratchet.brokers.simulator.faults import FaultKind
from tests.simulator.desk import CALL, KEY, PUT, Desk, open_desk, until

TESTED = {
    "refuse_4xx", "rate_limit_429", "session_lost", "semi_auto", "error_500_before", "cut_before", "slow",
    "hang_then_book", "book_500", "null_orderid", "error_500_after", "accept_then_cut", "accept_then_hang",
    "garbage_body", "wrong_mode", "gateway_502", "gateway_503", "gateway_504", "string_numbers", "odd_timestamp",
    "partial_fill", "never_fill", "reject_after_accept", "book_lag", "odd_status", "limit_shown",
}  # fmt: skip


def test_every_fault_is_tested_here() -> None:
    assert set(FaultKind) == TESTED


async def booked(desk: Desk, count: int) -> None:
    """Wait until the auditor sees `count` orders."""

    async def enough() -> bool:
        return len(await desk.ghosts()) >= count

    await until(enough)


@pytest.mark.parametrize(
    ("fault", "status", "expected"),
    [
        ({"fault": "refuse_4xx", "text": "no margin", "status": 422}, 422, {"status": "error", "message": "no margin"}),
        ({"fault": "rate_limit_429"}, 429, {"message": "10 per 1 second"}),
        ({"fault": "session_lost"}, 403, {"status": "error", "message": "Invalid openalgo apikey"}),
        ({"fault": "null_orderid"}, 200, {"status": "success", "orderid": None}),
        (
            {"fault": "error_500_before"},
            500,
            {"status": "error", "message": "An unexpected error occurred in the API endpoint"},
        ),
    ],
)
async def test_refusals_book_nothing_and_the_next_call_is_answered(
    live: Desk, fault: dict[str, Any], status: int, expected: dict[str, Any]
) -> None:
    await live.admin("faults", fault)
    assert await live.try_to_place() == (status, expected)
    assert await live.ghosts() == []
    await live.place()


async def test_semi_auto_for_one_call(live: Desk) -> None:
    await live.fault("semi_auto")
    _, body = await live.try_to_place()
    assert body["mode"] == "semi_auto"
    await live.fault("semi_auto", endpoint="cancelorder")
    assert (await live.call("cancelorder", strategy="", orderid=await live.place()))[0] == 403
    assert len(await live.ghosts()) == 1


@pytest.mark.parametrize("was_booked", [True, False])
async def test_a_null_order_id_may_hide_an_order(live: Desk, was_booked: bool) -> None:
    await live.fault("null_orderid", booked=was_booked)
    assert (await live.try_to_place())[1] == {"status": "success", "orderid": None}
    assert len(await live.ghosts()) == was_booked


async def test_a_500_can_come_after_booking(live: Desk) -> None:
    await live.fault("error_500_after")
    status, body = await live.try_to_place()
    assert (status, body["message"]) == (500, "Failed to place order due to internal error")
    assert len(await live.orders()) == 1


@pytest.mark.parametrize(("kind", "count"), [("accept_then_cut", 1), ("cut_before", 0)])
async def test_a_connection_can_be_cut_with_and_without_an_order(live: Desk, kind: str, count: int) -> None:
    await live.fault(kind)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await live.try_to_place()
    assert len(await live.ghosts()) == count
    await live.place()


async def test_any_call_can_be_cut(live: Desk) -> None:
    order_id = await live.place(pricetype="LIMIT", price=600)
    await live.fault("accept_then_cut", endpoint="cancelorder")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await live.call("cancelorder", strategy="", orderid=order_id)
    assert (await live.status(order_id))["order_status"] == "cancelled"


async def test_the_server_can_hang_on_an_order_that_is_already_booked(live: Desk) -> None:
    await live.fault("accept_then_hang", seconds=60)
    calling = asyncio.create_task(live.try_to_place())
    await booked(live, 1)
    assert not calling.done()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_the_server_can_book_an_order_whose_client_has_given_up(live: Desk) -> None:
    await live.fault("hang_then_book", seconds=0.2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await live.try_to_place()
    assert await live.ghosts() == []
    await booked(live, 1)


async def test_a_slow_answer_is_the_right_one(live: Desk) -> None:
    await live.fault("slow", seconds=0.05)
    began = asyncio.get_running_loop().time()
    await live.place()
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_a_server_that_stops_lets_hanging_calls_go_without_booking_them() -> None:
    async with open_desk() as desk:
        await desk.fault("hang_then_book", seconds=60)
        calling = asyncio.create_task(desk.try_to_place())

        async def hanging() -> bool:
            return bool((await desk.admin("state"))["fired"])

        await until(hanging)
        await desk.server.stop()
        with pytest.raises(aiohttp.ClientError):
            await calling


async def raw(desk: Desk) -> tuple[int, str, str]:
    body = {
        "apikey": KEY,
        "strategy": "g",
        "symbol": CALL,
        "exchange": "NFO",
        "action": "BUY",
        "quantity": 30,
        "product": "NRML",
    }
    async with desk.http.post(f"{desk.server.url}/api/v1/placeorder", json=body) as response:
        return response.status, response.content_type, await response.text()


@pytest.mark.parametrize("was_booked", [True, False])
@pytest.mark.parametrize("code", [502, 503, 504])
async def test_a_gateway_answers_with_a_page_and_tells_nothing(live: Desk, code: int, was_booked: bool) -> None:
    await live.fault(f"gateway_{code}", booked=was_booked)
    status, content_type, text = await raw(live)
    assert (status, content_type) == (code, "text/html")
    assert str(code) in text
    assert len(await live.ghosts()) == was_booked


async def test_a_body_can_be_unreadable(live: Desk) -> None:
    await live.fault("garbage_body")
    assert (await raw(live))[2] == '{"status":"succ'
    await live.fault("garbage_body", text="<html>", booked=False)
    assert (await raw(live))[2] == "<html>"
    assert len(await live.ghosts()) == 1


async def test_an_answer_can_come_in_the_other_mode(either: Desk) -> None:
    live = (await either.admin("state"))["mode"] == Mode.LIVE
    await either.fault("wrong_mode")
    _, body = await either.try_to_place()
    assert body.get("mode") == ("analyze" if live else None)
    assert body["orderid"] == (await either.orders())[0]["orderid"]


@pytest.mark.parametrize("endpoint", ["orderbook", "tradebook", "positionbook"])
async def test_a_book_can_fail(live: Desk, endpoint: str) -> None:
    await live.fault("book_500", endpoint=endpoint)
    status, body = await live.call(endpoint)
    assert (status, body["status"]) == (500, "error")
    assert (await live.call(endpoint))[0] == 200


async def test_numbers_can_come_as_text(live: Desk) -> None:
    await live.place(pricetype="LIMIT", price=600)
    await live.fault("string_numbers", endpoint="orderbook")
    row = (await live.orders())[0]
    assert (row["quantity"], row["price"], row["trigger_price"]) == ("60", "600.00", "0.00")


async def test_timestamps_can_come_in_another_brokers_format(live: Desk) -> None:
    await live.place()
    await live.fault("odd_timestamp", endpoint="orderbook")
    assert (await live.orders())[0]["timestamp"] == "11-Jan-2027 10:30:00"
    await live.fault("odd_timestamp", endpoint="orderbook", text="%H:%M:%S")
    assert (await live.orders())[0]["timestamp"] == "10:30:00"


async def filled(desk: Desk) -> list[int]:
    return [row["quantity"] for row in await desk.data("tradebook")]


async def test_a_partial_fill_keeps_to_whole_lots_and_its_rest_may_follow(live: Desk) -> None:
    await live.fault("partial_fill", fraction="0.7", rest="after", seconds=5)
    order_id = await live.place(quantity=90)
    assert (await live.status(order_id))["order_status"] == "open"
    assert await filled(live) == [60]
    await live.clock.advance(5)
    assert (await live.status(order_id))["order_status"] == "complete"
    assert await filled(live) == [60, 30]


async def test_a_partial_fill_without_a_rest_ends_by_cancelling(live: Desk) -> None:
    await live.fault("partial_fill", fraction=0.5)
    order_id = await live.place()
    await live.clock.advance(3600)
    assert (await live.status(order_id))["order_status"] == "open"
    await live.call("cancelorder", strategy="", orderid=order_id)
    assert await filled(live) == [30]


async def test_an_order_can_refuse_to_fill_at_any_price_but_by_hand(live: Desk) -> None:
    await live.fault("never_fill")
    order_id = await live.place(pricetype="LIMIT", price=700)
    await live.admin("quotes", {"symbol": CALL, "exchange": "NFO", "ltp": 1})
    assert await filled(live) == []
    await live.admin("fills", {"orderid": order_id})
    assert await filled(live) == [60]


async def test_an_accepted_order_can_be_rejected_later(sandbox: Desk) -> None:
    await sandbox.fault("reject_after_accept", seconds=2, text="RMS: no")
    order_id = await sandbox.place()
    assert (await sandbox.status(order_id))["order_status"] == "open"
    await sandbox.clock.advance(2)
    assert (await sandbox.orders())[0]["rejection_reason"] == "RMS: no"
    assert (await sandbox.status(order_id))["order_status"] == "rejected"
    assert await sandbox.data("tradebook") == []


async def test_a_booked_order_can_be_missing_from_every_book_for_a_while(live: Desk) -> None:
    await live.place(symbol=PUT)
    await live.fault("book_lag", seconds=4)
    order_id = await live.place()

    async def seen() -> list[bool]:
        books = [await live.orders(), await live.data("tradebook"), await live.data("positionbook")]
        found = (await live.call("orderstatus", strategy="", orderid=order_id))[0] == 200
        return [found, *(any(row["symbol"] == CALL for row in rows) for rows in books)]

    assert await seen() == [False] * 4
    assert len(await live.ghosts()) == 2
    await live.clock.advance(4)
    assert await seen() == [True] * 4


async def test_a_status_can_be_a_word_in_between(live: Desk) -> None:
    await live.fault("odd_status", text="open pending", seconds=3)
    order_id = await live.place()
    assert (await live.status(order_id))["order_status"] == "open pending"
    await live.clock.advance(3)
    assert (await live.status(order_id))["order_status"] == "complete"


async def test_a_row_can_show_the_status_of_the_row_before_and_the_first_fails_the_book(live: Desk) -> None:
    await live.fault("odd_status", text="inherit", seconds=3, match={"symbol": PUT})
    await live.place(symbol=PUT)
    assert (await live.call("orderbook"))[0] == 500
    await live.clock.advance(3)
    await live.fault("odd_status", text="inherit", seconds=3, match={"symbol": CALL})
    order_id = await live.place(pricetype="LIMIT", price=600)
    assert [row["order_status"] for row in await live.orders()] == ["complete", "complete"]
    assert (await live.call("orderstatus", strategy="", orderid=order_id))[0] == 500


async def test_a_market_order_can_be_shown_as_a_limit(live: Desk) -> None:
    await live.fault("limit_shown")
    await live.place()
    row = (await live.orders())[0]
    assert (row["pricetype"], row["price"]) == ("LIMIT", 652.45)


async def test_a_fault_waits_for_its_symbol_side_and_account(live: Desk) -> None:
    await live.fault("refuse_4xx", match={"symbol": CALL, "side": "SELL", "account": "b"}, times=2)
    assert (await live.try_to_place(action="SELL"))[0] == 200
    assert (await live.try_to_place(key=f"{KEY}-b"))[0] == 200
    assert (await live.try_to_place(key=f"{KEY}-b", action="SELL"))[0] == 400
    assert (await live.admin("state"))["faults"][0]["left"] == 1


async def test_faults_on_the_order_and_on_the_answer_go_together(live: Desk) -> None:
    await live.admin("faults", [{"fault": "partial_fill"}, {"fault": "accept_then_cut"}, {"fault": "book_lag"}])
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await live.try_to_place()
    row = (await live.admin("book"))["orders"][0]
    assert (row["filled"], row["status"]) == (30, "open")
    assert await live.orders() == []


async def test_chaos_is_the_same_for_the_same_seed_and_ends_when_cleared(live: Desk) -> None:
    chaos = {"seed": 11, "rates": {"refuse_4xx": 0.3, "gateway_502": 0.3}, "max_hang_seconds": 0.01}

    async def run() -> list[int]:
        await live.admin("faults", {"chaos": chaos})
        statuses = [(await raw(live))[0] for _ in range(30)]
        await live.admin("faults", method="DELETE")
        return statuses

    first = await run()
    assert {200, 400, 502} == set(first)
    assert await run() == first
    assert [(await raw(live))[0] for _ in range(5)] == [200] * 5


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"fault": "nonsense"}, "fault"),
        ({}, "faults"),
        ({"fault": "slow", "endpoint": "nowhere"}, "endpoint"),
        ({"fault": "book_500", "endpoint": "placeorder"}, "endpoint"),
        ({"fault": "slow", "seconds": "long"}, "seconds"),
        ({"fault": "slow", "probability": 2}, "probability"),
        ({"fault": "slow", "times": 0}, "times"),
        ({"fault": "accept_then_cut", "booked": False}, "booked"),
        ({"fault": "partial_fill", "rest": "soon"}, "rest"),
        ({"fault": "slow", "matches": {}}, "matches"),
        ({"chaos": {"rates": {}}}, "seed"),
    ],
)
async def test_a_fault_that_cannot_be_is_refused_by_field(live: Desk, fault: dict[str, Any], field: str) -> None:
    status, body = await live.try_admin("faults", [fault] if field == "faults" else fault)
    assert (status, set(body)) == (400, {"error"})
    assert field in body["error"] or field == "faults"
    assert (await live.admin("state"))["faults"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("quotes", {"underlying": "NOPE", "ltp": 1}),
        ("quotes", {"underlying": "COPPER", "ltp": 0}),
        ("quotes", {"symbol": "NOPE", "exchange": "MCX", "ltp": 1}),
        ("mode", {"mode": "dry"}),
        ("session", {}),
        ("timings", {"sessions": "never"}),
        ("fills", {"orderid": "1"}),
        ("foreign-order", {"symbol": CALL}),
        ("foreign-order", {"symbol": "NOPE", "exchange": "NFO", "action": "BUY", "quantity": 30}),
    ],
)
async def test_admin_calls_that_make_no_sense_are_refused(live: Desk, path: str, body: dict[str, Any]) -> None:
    status, answer = await live.try_admin(path, body)
    assert status == 400
    assert answer["error"]


async def test_an_unknown_admin_call_is_not_found(live: Desk) -> None:
    assert (await live.try_admin("nothing"))[0] == 404
    assert (await live.try_admin("book", {}))[0] == 404


async def test_the_mode_can_be_switched(live: Desk) -> None:
    assert (await live.admin("mode", {"mode": "analyze"}))["mode"] == "analyze"
    assert (await live.try_to_place())[1]["mode"] == "analyze"
