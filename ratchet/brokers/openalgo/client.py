"""One account at an OpenAlgo server: the Broker promise over HTTP. Every call is one POST, never repeated here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from ratchet.brokers.base import BrokerError, Holiday, Order, Outcome, SessionTimes, Trade
from ratchet.brokers.openalgo import books, market, wire
from ratchet.brokers.openalgo.outcomes import Seen, Word, outcome_of, usable, word_for
from ratchet.brokers.openalgo.session import OpenAlgoSession
from ratchet.brokers.openalgo.transport import Timeouts, Transport
from ratchet.clock import Clock, SystemClock
from ratchet.domain.checks import Quote
from ratchet.domain.identity import AccountId, BrokerOrderId
from ratchet.domain.instruments import Contract
from ratchet.domain.resolving import BookOrder

Observe = Callable[[str, str, float], None]
"""Told of each call: its endpoint, how it ended (a `Word`), and its seconds."""

STRATEGY = "ratchet"
"""The free text of calls that make no order."""


class OpenAlgoBroker:
    """One account at one OpenAlgo server. Safe to use from many tasks at once.

    mode: `live` or `analyze`; an answer in another mode is an error, for an order it is `misconfigured`.
    calls_per_second: calls of one endpoint, other than those for orders, that begin within one second.
    The API key appears in request bodies and nowhere else.
    """

    def __init__(
        self,
        account: AccountId,
        base_url: str,
        api_key: str,
        mode: str,
        timeouts: Timeouts,
        session: OpenAlgoSession,
        *,
        clock: Clock | None = None,
        observe: Observe | None = None,
        calls_per_second: int = 40,
        answer_limit_bytes: int = 8_388_608,
    ) -> None:
        self.account = account
        self._api_key = api_key
        self._mode = mode
        self._timeouts = timeouts
        self._clock = clock if clock is not None else SystemClock()
        self._observe = observe
        self._transport = Transport(
            session,
            base_url,
            api_key,
            timeouts,
            self._clock,
            calls_per_second=calls_per_second,
            answer_limit_bytes=answer_limit_bytes,
        )

    async def place(self, order: Order, *, within: float | None = None) -> Outcome:
        """Send one order, once. within: seconds from now in which its first byte may leave; after them NotSent."""
        started = self._clock.monotonic()
        last_start = started + (self._timeouts.window if within is None else within)
        body = wire.place_body(self._api_key, order)
        seen = await self._post("placeorder", body, started, last_start=last_start)
        outcome = outcome_of(seen, self._mode)
        self._tell("placeorder", word_for(outcome), started)
        return outcome

    async def modify(self, order_id: BrokerOrderId, order: Order) -> None:
        """Change price or quantity of a working order; may be repeated."""
        await self._call("modifyorder", wire.modify_body(self._api_key, order_id, order), self._mode)

    async def cancel(self, order_id: BrokerOrderId) -> None:
        """Ask for a cancel; may be repeated. A failure may mean that the order has ended: read it afterwards."""
        await self._call("cancelorder", self._body(strategy=STRATEGY, orderid=order_id), self._mode)

    async def book(self) -> Sequence[BookOrder]:
        """Return today's orders."""
        return books.orders(await self._call("orderbook", self._body(), self._mode))

    async def order(self, order_id: BrokerOrderId) -> BookOrder | None:
        """Return one order, or None if the broker says that it does not know it."""
        started = self._clock.monotonic()
        seen = await self._post("orderstatus", self._body(strategy=STRATEGY, orderid=order_id), started)
        # a 404 for another reason (no such route, no such plugin) does not name the order
        if seen.status == 404 and f"{order_id} not found" in seen.words:
            self._tell("orderstatus", Word.OK, started)
            return None
        body = self._judged("orderstatus", seen, self._mode, started)
        return books.order({"orderid": order_id, **wire.mapping(body, "data")})

    async def trades(self) -> Sequence[Trade]:
        """Return today's trades."""
        return books.trades(await self._call("tradebook", self._body(), self._mode))

    async def positions(self) -> Mapping[tuple[str, str], int]:
        """Return signed net units by (exchange, symbol), NRML only; what is flat is left out."""
        return books.positions(await self._call("positionbook", self._body(), self._mode))

    async def quote(self, exchange: str, symbol: str) -> Quote:
        """Return the latest price of a contract, stamped with the instant of the answer."""
        body = self._body(symbol=symbol, exchange=exchange)
        return market.quote(await self._call("quotes", body, None, self._timeouts.quote), self._clock.now())

    async def contract(self, exchange: str, symbol: str) -> Contract:
        """Return the contract's lot size, tick, freeze quantity and expiry."""
        return market.contract(await self._call("symbol", self._body(symbol=symbol, exchange=exchange), None))

    async def expiries(self, exchange: str, base: str, *, options: bool) -> Sequence[date]:
        """Return the listed expiries, soonest first."""
        kind = "options" if options else "futures"
        body = self._body(symbol=base, exchange=exchange, instrumenttype=kind)
        return market.expiries(await self._call("expiry", body, None))

    async def timings(self, day: date) -> Sequence[SessionTimes]:
        """Return the sessions of one day; an exchange that is not named is closed."""
        return market.timings(await self._call("market/timings", self._body(date=day.isoformat()), None))

    async def holidays(self, year: int) -> Sequence[Holiday]:
        """Return the year's holidays."""
        return market.holidays(await self._call("market/holidays", self._body(year=year), None))

    async def mode(self) -> str:
        """Return `live` or `analyze`, as the server runs."""
        return books.server_mode(await self._call("analyzer", self._body(), None))

    async def funds(self) -> Mapping[str, Decimal]:
        """Return the account's money by the broker's own names; empty when the broker is unreachable."""
        return books.funds(await self._call("funds", self._body(), self._mode))

    async def ping(self) -> str:
        """Return the name of the plugin for the broker, in lower case; "" where the server does not say."""
        return books.plugin(await self._call("ping", self._body(), None))

    def _body(self, **fields: object) -> bytes:
        return wire.body_of(self._api_key, **fields)

    async def _call(self, call: str, body: bytes, mode: str | None, total: float | None = None) -> wire.Fields:
        started = self._clock.monotonic()
        seen = await self._post(call, body, started, total=total)
        return self._judged(call, seen, mode, started)

    async def _post(
        self, call: str, body: bytes, started: float, *, total: float | None = None, last_start: float | None = None
    ) -> Seen:
        limit = total if total is not None else self._timeouts.total
        try:
            return await self._transport.post(call, body, total=limit, last_start=last_start)
        except asyncio.CancelledError:
            self._tell(call, Word.CANCELLED, started)
            raise

    def _judged(self, call: str, seen: Seen, mode: str | None, started: float) -> wire.Fields:
        try:
            body = usable(seen, mode)
        except BrokerError as error:
            self._tell(call, word_for(error), started)
            raise
        self._tell(call, Word.OK, started)
        return body

    def _tell(self, call: str, word: Word, started: float) -> None:
        if self._observe is not None:
            self._observe(call, word.value, self._clock.monotonic() - started)
