"""The simulated broker's own book, read over a real socket: whose orders they are, and who made them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from uuid import uuid4

import aiohttp
import pytest

from ratchet.brokers.audit_book import AuditBook
from ratchet.brokers.base import Accepted, BrokerUnreachable, Order
from ratchet.brokers.openalgo.client import OpenAlgoBroker
from ratchet.brokers.openalgo.session import create_session
from ratchet.brokers.openalgo.simulator_book import read_book
from ratchet.brokers.openalgo.transport import Timeouts
from ratchet.brokers.simulator import SimulatorServer, SimulatorSettings
from ratchet.clock import SystemClock
from ratchet.domain.calendar import IST
from ratchet.domain.identity import AccountId, IntentId
from ratchet.domain.orders import Side

KEY = "key-of-the-tests"
ACCOUNTS = {"main": KEY, "second": f"{KEY}-load-01"}
FUTURE = "BANKNIFTY29DEC26FUT"
LISTED_FROM = date(2026, 11, 23)
TIMEOUTS = Timeouts(pool=0.5, connect=1.0, read=1.0, total=2.0, quote=1.0, window=1.0)


@pytest.fixture
async def server() -> AsyncIterator[SimulatorServer]:
    async with SimulatorServer(SimulatorSettings(api_key=KEY, today=LISTED_FROM)) as started:
        yield started


async def book_of(url: str) -> AuditBook:
    return await read_book(url, accounts=ACCOUNTS, base_key=KEY, clock=SystemClock(), timeout_seconds=2.0)


async def buy_a_lot(server: SimulatorServer, account: str) -> tuple[IntentId, int]:
    """Place an order as the account; return the intent's id and the units."""
    session = create_session()
    try:
        broker = OpenAlgoBroker(AccountId(account), server.url, ACCOUNTS[account], "live", TIMEOUTS, session)
        quote, contract = await broker.quote("NFO", FUTURE), await broker.contract("NFO", FUTURE)
        order = Order(
            intent_id=IntentId(uuid4()),
            exchange="NFO",
            symbol=FUTURE,
            product="NRML",
            side=Side.BUY,
            quantity=contract.lot_size,
            price=quote.ask or quote.ltp,
        )
        assert isinstance(await broker.place(order), Accepted)
    finally:
        await session.close()
    return order.intent_id, order.quantity


async def test_it_tells_which_request_of_which_account_made_an_order(server: SimulatorServer) -> None:
    made = {account: await buy_a_lot(server, account) for account in ACCOUNTS}
    book = await book_of(server.url)
    assert {(e.account, e.ghost, e.order.filled) for e in book.orders} == {
        (account, str(intent), units) for account, (intent, units) in made.items()
    }
    today = SystemClock().now().astimezone(IST).date()
    assert {(e.order.symbol, e.order.status, e.day) for e in book.orders} == {(FUTURE, "complete", today)}
    assert dict(book.positions) == {(account, "NFO", FUTURE): units for account, (_, units) in made.items()}
    assert sorted(call.account for call in book.calls or ()) == ["main", "second"]
    assert book.knows_ghosts and book.covers(date(2020, 1, 1))


async def test_an_order_placed_by_hand_is_nobodys_request(server: SimulatorServer) -> None:
    row = {"symbol": FUTURE, "exchange": "NFO", "action": "BUY", "quantity": 30}
    async with aiohttp.ClientSession() as http, http.post(f"{server.url}/admin/foreign-order", json=row) as answer:
        assert answer.status == 200
    (entry,) = (await book_of(server.url)).orders
    assert (entry.account, entry.ghost) == ("main", "")


async def test_a_simulator_that_is_away_has_no_empty_book() -> None:
    async with SimulatorServer(SimulatorSettings(api_key=KEY)) as gone:
        url = gone.url
    with pytest.raises(BrokerUnreachable):
        await book_of(url)
