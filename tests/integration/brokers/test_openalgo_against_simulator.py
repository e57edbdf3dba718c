"""The client against a whole simulated server, in both modes: what it reads, and what it makes of each fault."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from ratchet.brokers.base import (
    Accepted,
    Ambiguous,
    BadAnswer,
    BrokerUnreachable,
    NotSent,
    Order,
    Outcome,
    RateLimited,
    RefusalKind,
    Refused,
    SessionGone,
    WrongMode,
)
from ratchet.brokers.openalgo.client import OpenAlgoBroker
from ratchet.brokers.openalgo.session import create_session
from ratchet.brokers.openalgo.transport import Timeouts
from ratchet.brokers.simulator import Mode, SessionRule, SimulatorServer, SimulatorSettings
from ratchet.brokers.simulator.routes.fault_requests import rule_from
from ratchet.domain.identity import AccountId, BrokerOrderId, IntentId
from ratchet.domain.orders import Side
from ratchet.domain.resolving import BookOrder

TODAY = date(2026, 11, 23)
FUTURE = "BANKNIFTY29DEC26FUT"
TIMEOUTS = Timeouts(pool=0.5, connect=1.0, read=0.5, total=2.0, quote=1.0, window=1.0)
MODES = pytest.mark.parametrize("mode", [Mode.LIVE, Mode.ANALYZE])


@asynccontextmanager
async def market(
    mode: Mode = Mode.LIVE, sessions: SessionRule = SessionRule.ALWAYS
) -> AsyncIterator[tuple[SimulatorServer, OpenAlgoBroker]]:
    """Yield a simulated server and a client of its default account."""
    settings = SimulatorSettings(today=TODAY, mode=mode, sessions=sessions)
    session = create_session()
    try:
        async with SimulatorServer(settings) as server:
            yield server, OpenAlgoBroker(AccountId("main"), server.url, "simulator-key", mode.value, TIMEOUTS, session)
    finally:
        await session.close()


async def limit_order(broker: OpenAlgoBroker, *, side: Side = Side.BUY, offset: Decimal = Decimal(0)) -> Order:
    """Return an order of one lot at the far touch, moved by `offset` (negative: away from the market for a buy)."""
    quote = await broker.quote("NFO", FUTURE)
    contract = await broker.contract("NFO", FUTURE)
    touch = (quote.ask if side is Side.BUY else quote.bid) or quote.ltp
    return Order(
        intent_id=IntentId(UUID("0192f0c1-7f3a-7cde-8f00-000000000001")),
        exchange="NFO",
        symbol=FUTURE,
        product="NRML",
        side=side,
        quantity=contract.lot_size,
        price=touch + offset,
    )


@MODES
async def test_an_order_is_placed_found_filled_and_held(mode: Mode) -> None:
    async with market(mode) as (_, broker):
        order = await limit_order(broker)
        outcome = await broker.place(order)
        assert isinstance(outcome, Accepted)
        by_id = await broker.order(outcome.order_id)
        [row] = await broker.book()
        assert by_id is not None
        for found in (by_id, row):
            assert (found.order_id, found.symbol, found.exchange) == (outcome.order_id, FUTURE, "NFO")
            assert (found.side, found.quantity, found.product) == (Side.BUY, order.quantity, "NRML")
            assert found.status == "complete"
        [trade] = await broker.trades()
        assert (trade.order_id, trade.quantity, trade.side) == (outcome.order_id, order.quantity, Side.BUY)
        assert await broker.positions() == {("NFO", FUTURE): order.quantity}


@MODES
async def test_a_resting_order_is_changed_and_cancelled(mode: Mode) -> None:
    async with market(mode) as (_, broker):
        order = await limit_order(broker, offset=Decimal(-500))
        outcome = await broker.place(order)
        assert isinstance(outcome, Accepted)
        dearer = replace(order, price=order.price + 10)
        await broker.modify(outcome.order_id, dearer)
        await broker.modify(outcome.order_id, dearer)
        changed = await broker.order(outcome.order_id)
        assert changed is not None and (changed.price, changed.status) == (dearer.price, "open")
        await broker.cancel(outcome.order_id)
        cancelled = await broker.order(outcome.order_id)
        assert cancelled is not None and cancelled.status == "cancelled"
        with pytest.raises(BadAnswer):
            await broker.cancel(outcome.order_id)
        assert await broker.positions() == {} and await broker.trades() == []


@MODES
async def test_what_the_server_knows_is_read(mode: Mode) -> None:
    async with market(mode, SessionRule.EXCHANGE) as (_, broker):
        assert await broker.mode() == mode.value
        assert await broker.order(BrokerOrderId("999999")) is None
        contract = await broker.contract("NFO", FUTURE)
        assert (contract.expiry, contract.symbol) == (date(2026, 12, 29), FUTURE)
        assert contract.lot_size > 0 and contract.freeze > contract.lot_size
        listed = await broker.expiries("NFO", "BANKNIFTY", options=False)
        assert contract.expiry in listed and list(listed) == sorted(listed)
        assert await broker.expiries("NFO", "BANKNIFTY", options=True)
        quote = await broker.quote("NFO", FUTURE)
        assert quote.bid and quote.ask and quote.bid <= quote.ask
        sessions = {session.exchange: session for session in await broker.timings(TODAY)}
        assert sessions["NFO"].opens == datetime(2026, 11, 23, 3, 45, tzinfo=UTC) < sessions["NFO"].closes
        assert {holiday.day.year for holiday in await broker.holidays(2026)} == {2026}
        assert all(amount.is_finite() for amount in (await broker.funds()).values()) and await broker.funds()
        assert await broker.ping() == "zerodha"


PLACING: list[tuple[dict[str, object], Outcome | type[Outcome], bool]] = [
    ({"fault": "refuse_4xx"}, Refused(RefusalKind.BROKER, ""), False),
    ({"fault": "rate_limit_429"}, Refused(RefusalKind.RATE_LIMITED, ""), False),
    ({"fault": "session_lost"}, Refused(RefusalKind.SESSION_GONE, ""), False),
    ({"fault": "semi_auto"}, Ambiguous(answered=True, misconfigured=True, cause=""), False),
    ({"fault": "wrong_mode"}, Ambiguous(answered=True, misconfigured=True, cause=""), True),
    ({"fault": "null_orderid"}, Ambiguous(answered=True, null_order_id=True, cause=""), False),
    ({"fault": "null_orderid", "booked": True}, Ambiguous(answered=True, null_order_id=True, cause=""), True),
    ({"fault": "error_500_before"}, Ambiguous(answered=True, cause=""), False),
    ({"fault": "error_500_after"}, Ambiguous(answered=True, cause=""), True),
    ({"fault": "garbage_body"}, Ambiguous(answered=True, cause=""), True),
    ({"fault": "garbage_body", "booked": False}, Ambiguous(answered=True, cause=""), False),
    ({"fault": "gateway_502"}, Ambiguous(answered=False, cause=""), False),
    ({"fault": "gateway_503", "booked": True}, Ambiguous(answered=False, cause=""), True),
    ({"fault": "gateway_504", "booked": True}, Ambiguous(answered=False, cause=""), True),
    ({"fault": "cut_before"}, Ambiguous(answered=False, cause=""), False),
    ({"fault": "accept_then_cut"}, Ambiguous(answered=False, cause=""), True),
    ({"fault": "accept_then_hang", "seconds": 30}, Ambiguous(answered=False, cause=""), True),
    ({"fault": "hang_then_book", "seconds": 30}, Ambiguous(answered=False, cause=""), False),
    ({"fault": "slow", "seconds": "0.1"}, Accepted(BrokerOrderId("")), True),
]


def without_words(outcome: Outcome) -> Outcome:
    """Return an outcome less its texts and ids."""
    match outcome:
        case Refused():
            return replace(outcome, text="")
        case Ambiguous() | NotSent():
            return replace(outcome, cause="")
        case Accepted():
            return replace(outcome, order_id=BrokerOrderId(""))


@pytest.mark.parametrize(("fault", "expected", "booked"), PLACING, ids=lambda part: str(part))
async def test_each_fault_of_a_placement_is_classed_by_what_it_proves(
    fault: dict[str, object], expected: Outcome, booked: bool
) -> None:
    async with market() as (server, broker):
        order = await limit_order(broker)
        server.simulator.faults.rules.append(rule_from({"endpoint": "placeorder", **fault}))
        outcome = await broker.place(order)
        assert without_words(outcome) == expected
        assert len(await broker.book()) == int(booked)
        # the fault is over and the client still works
        assert isinstance(await broker.place(order), Accepted)


async def test_a_stopped_server_means_not_sent() -> None:
    async with market() as (server, broker):
        order = await limit_order(broker)
        await server.stop()
        # the read meets what is left of the old connection, the order after it meets nobody
        with pytest.raises(BrokerUnreachable):
            await broker.book()
        assert isinstance(await broker.place(order), NotSent)


async def test_the_eleventh_order_of_a_second_is_refused_and_reads_go_on() -> None:
    async with market() as (_, broker):
        order = await limit_order(broker)
        outcomes = [without_words(await broker.place(order)) for _ in range(11)]
        assert outcomes[-1] == Refused(RefusalKind.RATE_LIMITED, "")
        assert len(await broker.book()) == 10


READING = [
    ({"fault": "book_500"}, BadAnswer),
    ({"fault": "session_lost"}, SessionGone),
    ({"fault": "rate_limit_429"}, RateLimited),
    ({"fault": "gateway_504"}, BrokerUnreachable),
    ({"fault": "cut_before"}, BrokerUnreachable),
    ({"fault": "slow", "seconds": 30}, BrokerUnreachable),
    ({"fault": "garbage_body"}, BadAnswer),
    ({"fault": "wrong_mode"}, WrongMode),
]


@pytest.mark.parametrize(("fault", "error"), READING, ids=lambda part: str(part))
async def test_each_fault_of_a_read_is_an_error_and_no_evidence(
    fault: dict[str, object], error: type[Exception]
) -> None:
    async with market() as (server, broker):
        server.simulator.faults.rules.append(rule_from({"endpoint": "orderbook", **fault}))
        with pytest.raises(error) as caught:
            await broker.book()
        assert type(caught.value) is error
        assert await broker.book() == []


@MODES
async def test_numbers_as_text_read_as_the_same_book(mode: Mode) -> None:
    async with market(mode) as (server, broker):
        await broker.place(await limit_order(broker))
        plain: list[BookOrder] = list(await broker.book())
        server.simulator.faults.rules.append(rule_from({"endpoint": "*", "fault": "string_numbers", "times": 4}))
        assert await broker.book() == plain
        assert len(await broker.trades()) == 1
        assert await broker.positions() == {("NFO", FUTURE): plain[0].quantity}
        assert (await broker.quote("NFO", FUTURE)).ltp > 0


async def test_an_unknown_status_word_is_passed_on() -> None:
    async with market() as (server, broker):
        fault = {"endpoint": "placeorder", "fault": "odd_status", "text": "put order req received", "seconds": 30}
        server.simulator.faults.rules.append(rule_from(fault))
        outcome = await broker.place(await limit_order(broker))
        assert isinstance(outcome, Accepted)
        found = await broker.order(outcome.order_id)
        assert found is not None and found.status == "put order req received"


async def test_a_client_configured_for_the_other_mode_reads_nothing_and_says_so_of_its_order() -> None:
    async with market(Mode.ANALYZE) as (server, right):
        session = create_session()
        try:
            wrong = OpenAlgoBroker(AccountId("main"), server.url, "simulator-key", "live", TIMEOUTS, session)
            outcome = await wrong.place(await limit_order(right))
            assert isinstance(outcome, Ambiguous) and outcome.misconfigured
            [row] = await right.book()
            assert row.order_id in outcome.cause
            with pytest.raises(WrongMode):
                await wrong.book()
        finally:
            await session.close()
