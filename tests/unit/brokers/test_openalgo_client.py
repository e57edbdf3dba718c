"""Reads, changes and cancels over real sockets: what they ask, and how they fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal

import pytest

from ratchet.brokers.base import (
    BadAnswer,
    Broker,
    BrokerError,
    BrokerUnreachable,
    RateLimited,
    SessionGone,
    WrongMode,
)
from ratchet.brokers.openalgo.client import OpenAlgoBroker
from ratchet.brokers.openalgo.pacing import Pace
from ratchet.domain.identity import BrokerOrderId
from tests.fakes.clock import ManualClock
from tests.unit.brokers.builders import KEY, ORDER, SHORT, Told, client
from tests.unit.brokers.raw_server import Act, RawServer, answer, close, hang

ID = BrokerOrderId("77")
Ask = Callable[[OpenAlgoBroker], Awaitable[object]]

CALLS: dict[str, tuple[Ask, dict[str, object]]] = {
    "modifyorder": (lambda broker: broker.modify(ID, ORDER), {}),
    "cancelorder": (lambda broker: broker.cancel(ID), {"strategy": "ratchet", "orderid": "77"}),
    "orderbook": (lambda broker: broker.book(), {}),
    "orderstatus": (lambda broker: broker.order(ID), {"strategy": "ratchet", "orderid": "77"}),
    "tradebook": (lambda broker: broker.trades(), {}),
    "positionbook": (lambda broker: broker.positions(), {}),
    "quotes": (lambda broker: broker.quote("NFO", "X"), {"exchange": "NFO", "symbol": "X"}),
    "symbol": (lambda broker: broker.contract("NFO", "X"), {"exchange": "NFO", "symbol": "X"}),
    "expiry": (
        lambda broker: broker.expiries("MCX", "GOLDM", options=False),
        {"exchange": "MCX", "symbol": "GOLDM", "instrumenttype": "futures"},
    ),
    "market/timings": (lambda broker: broker.timings(date(2026, 11, 23)), {"date": "2026-11-23"}),
    "market/holidays": (lambda broker: broker.holidays(2026), {"year": 2026}),
    "analyzer": (lambda broker: broker.mode(), {}),
    "funds": (lambda broker: broker.funds(), {}),
    "ping": (lambda broker: broker.ping(), {}),
}
NAMES_ITS_MODE = ("modifyorder", "cancelorder", "orderbook", "orderstatus", "tradebook", "positionbook", "funds")


def test_the_client_keeps_the_promise_of_a_broker() -> None:
    promise: type[Broker] = OpenAlgoBroker
    assert promise is OpenAlgoBroker


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_is_one_post_with_its_fields(call: str) -> None:
    ask, fields = CALLS[call]
    async with RawServer(answer(500, {"message": "no"})) as server, client(server.url) as broker:
        with pytest.raises(BadAnswer, match="HTTP 500: no"):
            await ask(broker)
        assert server.heads[0].startswith(f"POST /api/v1/{call} HTTP/1.1\r\n".encode())
        sent = json.loads(server.requests[0])
        assert sent["apikey"] == KEY
        if call != "modifyorder":
            assert sent == {"apikey": KEY, **fields}


@pytest.mark.parametrize(
    ("act", "error", "word"),
    [
        (close, BrokerUnreachable, "unreachable"),
        (hang, BrokerUnreachable, "unreachable"),
        (answer(504, b""), BrokerUnreachable, "unreachable"),
        (answer(429, {"message": "50 per 1 second"}), RateLimited, "rate_limited"),
        (answer(403, {"message": "Invalid openalgo apikey"}), SessionGone, "session_gone"),
        (answer(400, {"message": {"orderid": ["Missing data"]}}), BadAnswer, "bad_answer"),
        (answer(500, {"message": "broker down"}), BadAnswer, "bad_answer"),
        (answer(200, b"<html>"), BadAnswer, "bad_answer"),
        (answer(200, {"status": "error", "message": "no"}), BadAnswer, "bad_answer"),
    ],
    ids=["close", "hang", "504", "429", "403", "400", "500", "html", "error"],
)
@pytest.mark.parametrize("call", ["cancelorder", "orderbook", "orderstatus", "quotes"])
async def test_every_failure_is_one_of_the_promised_errors(
    call: str, act: Act, error: type[BrokerError], word: str
) -> None:
    told = Told()
    async with RawServer(act) as server, client(server.url, observe=told) as broker:
        with pytest.raises(error) as caught:
            await CALLS[call][0](broker)
        assert type(caught.value) is error
        assert told.words == [(call, word)]
        assert len(server.requests) == 1


@pytest.mark.parametrize("call", CALLS)
async def test_only_calls_that_name_the_mode_are_held_to_it(call: str) -> None:
    body = {"status": "success", "mode": "analyze"}
    async with RawServer(answer(200, body)) as server, client(server.url) as broker:
        try:
            await CALLS[call][0](broker)
        except BrokerError as error:
            assert isinstance(error, WrongMode) == (call in NAMES_ITS_MODE)
        else:
            assert call == "ping"


@pytest.mark.parametrize(
    ("data", "name"),
    [({"message": "pong", "broker": "Paytm "}, "paytm"), ({"message": "pong", "broker": None}, ""), ("pong", "")],
)
async def test_a_ping_names_the_plugin_where_the_server_does(data: object, name: str) -> None:
    async with RawServer(answer(200, {"status": "success", "data": data})) as server, client(server.url) as broker:
        assert await broker.ping() == name


async def test_a_cancel_kept_back_for_approval_is_the_wrong_mode() -> None:
    body = {"status": "error", "message": "Operation cancelorder is not allowed in Semi-Auto mode"}
    async with RawServer(answer(403, body)) as server, client(server.url) as broker:
        with pytest.raises(WrongMode):
            await broker.cancel(ID)


@pytest.mark.parametrize("message", ["Order 77 not found", "Order 77 not found in the book"])
async def test_an_order_that_the_broker_does_not_know_is_none(message: str) -> None:
    told = Told()
    async with (
        RawServer(answer(404, {"status": "error", "message": message})) as server,
        client(server.url, observe=told) as broker,
    ):
        assert await broker.order(ID) is None
    assert told.words == [("orderstatus", "ok")]


@pytest.mark.parametrize(
    "body",
    [
        {"status": "error", "message": "Not found", "path": "/api/v1/orderstatus"},
        {"status": "error", "message": "Broker-specific module not found"},
        {"status": "error", "message": "Order 78 not found"},
        b"404 page not found",
    ],
    ids=str,
)
async def test_another_404_proves_nothing_about_the_order(body: object) -> None:
    async with RawServer(answer(404, body)) as server, client(server.url) as broker:
        with pytest.raises(BadAnswer):
            await broker.order(ID)


async def test_a_status_without_its_id_is_the_order_that_was_asked_for() -> None:
    data = {
        "symbol": "X",
        "exchange": "NFO",
        "product": "NRML",
        "action": "SELL",
        "quantity": "5",
        "order_status": "open",
    }
    async with RawServer(answer(200, {"status": "success", "data": data})) as server, client(server.url) as broker:
        found = await broker.order(ID)
    assert found is not None and (found.order_id, found.quantity) == ("77", 5)


async def test_a_quote_has_a_shorter_limit_than_other_reads() -> None:
    told = Told()
    async with RawServer(hang) as server, client(server.url, observe=told) as broker:
        with pytest.raises(BrokerUnreachable):
            await broker.quote("NFO", "X")
    assert told.calls[0][2] < SHORT.read


async def test_a_cancelled_read_is_raised() -> None:
    told = Told()
    async with RawServer(hang) as server, client(server.url, observe=told) as broker:
        task = asyncio.create_task(broker.book())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert told.words == [("orderbook", "cancelled")]


async def test_cookies_of_one_account_do_not_reach_another() -> None:
    act = answer(200, {"status": "success"}, "Set-Cookie: session=abc; Path=/")
    # a name, as cookies of a bare address are never kept
    async with RawServer(act) as server, client(f"http://localhost:{server.port}") as broker:
        await broker.ping()
        await broker.ping()
        assert len(server.heads) == 2 and b"cookie" not in server.heads[1].lower()


async def test_reads_of_one_endpoint_wait_for_their_turn_and_others_do_not() -> None:
    clock = ManualClock()
    pace = Pace(clock, 2)
    async with asyncio.TaskGroup() as group:
        turns = [group.create_task(pace.turn("orderbook")) for _ in range(5)]
        other = group.create_task(pace.turn("quotes"))
        done = []
        for seconds in (0.0, 0.9, 0.2, 1.1):
            await clock.advance(seconds)
            done.append(sum(turn.done() for turn in turns))
        assert other.done()
    assert done == [2, 2, 4, 5]


async def test_waiting_for_a_turn_counts_towards_the_total() -> None:
    ok = answer(200, {"status": "success", "data": {"ltp": 1}})
    async with RawServer(ok) as server, client(server.url, calls_per_second=1) as broker:
        assert (await broker.quote("NFO", "X")).ltp == Decimal(1)
        with pytest.raises(BrokerUnreachable):
            await broker.quote("NFO", "X")
        assert len(server.requests) == 1
