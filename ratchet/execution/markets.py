"""What the broker says of the market: sessions, contracts and quotes; what cannot change today is kept for the day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from ratchet.brokers.base import BadAnswer, BrokerError, Holiday, SessionTimes
from ratchet.domain.calendar import IST, MarketDay, Session, TradingCalendar
from ratchet.domain.checks import Quote
from ratchet.domain.contracts import Right, choose_strike, future_symbol, option_symbol
from ratchet.domain.expiries import choose_expiry
from ratchet.domain.instruments import Contract, Form, Instrument
from ratchet.domain.orders import Intent
from ratchet.persistence import market
from ratchet.runtime import Runtime

T = TypeVar("T")
_KEPT_LIMIT = 5_000
_JUST_SEEN_SECONDS = 0.5
"""A quote this young is the market of the moment: the price that an entry was judged by is the one it is sent at."""
_LOOK_AHEAD_DAYS = 10
_HOLIDAYS_AHEAD = timedelta(days=60)

log = logging.getLogger(__name__)


class NoQuote(Exception):
    """The broker gave no price within its tries."""


class DayCache:
    """Keeps answers that hold for one IST day; bounded, and empty again on the next day."""

    def __init__(self) -> None:
        self._day: date | None = None
        self._kept: dict[Hashable, Any] = {}

    async def get(self, day: date, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return the day's answer, reading it once. Two readers at once may both ask; the last answer stays."""
        if day != self._day or len(self._kept) >= _KEPT_LIMIT:
            self._day, self._kept = day, {}
        if key not in self._kept:
            answer = await read()
            self._kept[key] = answer
        kept: T = self._kept[key]
        return kept

    def put(self, day: date, key: Hashable, answer: object) -> None:
        """Keep the day's latest answer."""
        if day != self._day or len(self._kept) >= _KEPT_LIMIT:
            self._day, self._kept = day, {}
        self._kept[key] = answer

    def kept(self, day: date, key: Hashable) -> Any:
        """Return what is kept of the day, or None."""
        return self._kept.get(key) if day == self._day else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryMarket:
    """The contracts that a new layer would use, and their exposure's price now.

    contracts: one future, or call and put of a synthetic. lot_size: units a lot. instrument: with the contract's own
    lot and point value. price: the future's mid, or strike + call - put.
    """

    instrument: Instrument
    contracts: tuple[Contract, ...]
    strike: Decimal | None
    price: Decimal
    quote: Quote

    @property
    def expiry(self) -> date:
        """When the contracts expire."""
        return self.contracts[0].expiry


class Markets:
    """Reads of the market for one process."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._cache = DayCache()
        self._seen = DayCache()

    def today(self) -> date:
        """Return the present day at the exchanges."""
        return self._rt.clock.now().astimezone(IST).date()

    async def is_open(self, account: str, exchange: str) -> bool:
        """Whether the exchange is in session now, by the broker's timings."""
        now = self._rt.clock.now()
        return any(s.opens <= now < s.closes for s in await self._sessions(account, exchange, self.today()))

    async def next_open(self, account: str, exchange: str) -> datetime | None:
        """Return when the exchange opens next, or None if no session is listed for the coming days."""
        now = self._rt.clock.now()
        for ahead in range(_LOOK_AHEAD_DAYS):
            day = self.today() + timedelta(days=ahead)
            opens = [s.opens for s in await self._sessions(account, exchange, day) if s.closes > now]
            if opens:
                return max(now, min(opens))
        return None

    async def session_close(self, account: str, exchange: str) -> datetime | None:
        """Return the close of the session that is open now, or None."""
        now = self._rt.clock.now()
        sessions = await self._sessions(account, exchange, self.today())
        return next((s.closes for s in sessions if s.opens <= now < s.closes), None)

    async def day_close(self, account: str, exchange: str) -> datetime | None:
        """Return the last close of today, whether it has passed or not, or None on a day without a session."""
        return max((s.closes for s in await self._sessions(account, exchange, self.today())), default=None)

    async def _sessions(self, account: str, exchange: str, day: date) -> list[SessionTimes]:
        broker = self._rt.broker(account)
        every = await self._cache.get(self.today(), ("timings", day), lambda: broker.timings(day))
        return [s for s in every if s.exchange == exchange]

    async def calendar(self, account: str) -> TradingCalendar:
        """Return the calendar with the broker's holidays, in time the next year's too. Raises BrokerError."""
        broker, today = self._rt.broker(account), self.today()

        async def read() -> TradingCalendar:
            found = list(await broker.holidays(today.year))
            following = (today + _HOLIDAYS_AHEAD).year
            if following != today.year:
                try:
                    found += await broker.holidays(following)
                except BadAnswer:  # next year's list is not out yet
                    log.warning("no holidays of %s yet", following, extra={"event": "no_holidays", "year": following})
            return TradingCalendar(market_day(holiday) for holiday in found)

        return await self._cache.get(today, "calendar", read)

    async def contract(self, account: str, exchange: str, symbol: str) -> Contract:
        """Return a contract as the broker lists it today."""
        broker = self._rt.broker(account)
        return await self._cache.get(
            self.today(), ("contract", exchange, symbol), lambda: broker.contract(exchange, symbol)
        )

    async def quote(self, account: str, exchange: str, symbol: str) -> Quote:
        """Return a fresh quote; a few tries with pauses. Raises NoQuote."""
        broker, settings = self._rt.broker(account), self._rt.settings.broker
        pauses = (*settings.quote_pauses_seconds, None)
        for pause in pauses:
            try:
                async with asyncio.timeout(settings.quote_timeout_seconds):
                    quote = await broker.quote(exchange, symbol)
            except (BrokerError, TimeoutError):
                if pause is not None:
                    await self._rt.clock.sleep(pause)
            else:
                self._seen.put(self.today(), (exchange, symbol), (quote, self._rt.clock.monotonic()))
                return quote
        raise NoQuote(f"no quote of {symbol} after {len(pauses)} tries")

    async def quote_just_seen(self, account: str, exchange: str, symbol: str) -> Quote:
        """Return the quote that this process read within the last half second, else a fresh one. Raises NoQuote."""
        seen: tuple[Quote, float] | None = self._seen.kept(self.today(), (exchange, symbol))
        if seen is not None and self._rt.clock.monotonic() - seen[1] < _JUST_SEEN_SECONDS:
            return seen[0]
        return await self.quote(account, exchange, symbol)

    async def last_price(self, intent: Intent) -> Decimal | None:
        """Return the last price known of an order's contract: of today's quotes here, or of a future's last bar."""
        seen: tuple[Quote, float] | None = self._seen.kept(self.today(), (intent.exchange, intent.symbol))
        if seen is not None:
            return seen[0].mid
        if is_option(self._rt.instrument(intent.instrument)):
            return None  # what is stored is the price of the exposure, not of one of its legs
        async with self._rt.db.single(name="last-price") as tx:
            return (await market.read(tx, intent.account, intent.instrument)).last_price

    async def for_entry(self, account: str, instrument: Instrument) -> EntryMarket:
        """Return the contracts that a new layer uses today and their price. Raises NoQuote, BrokerError."""
        expiry = await self._expiry(account, instrument)
        future = future_symbol(instrument.base, expiry)
        quote = await self.quote(account, instrument.exchange, future)
        if instrument.form is Form.FUTURE:
            contract = await self.contract(account, instrument.exchange, future)
            return EntryMarket(
                instrument=sized_by(instrument, contract),
                contracts=(contract,),
                strike=None,
                price=quote.mid,
                quote=quote,
            )
        strike = choose_strike(quote.mid, _interval(instrument))
        symbols = [option_symbol(instrument.base, expiry, strike, right) for right in (Right.CE, Right.PE)]
        contracts = [await self.contract(account, instrument.exchange, symbol) for symbol in symbols]
        return await self.of_contracts(account, instrument, tuple(contracts), strike)

    async def of_contracts(
        self, account: str, instrument: Instrument, contracts: tuple[Contract, ...], strike: Decimal | None
    ) -> EntryMarket:
        """Return the present price of chosen contracts. Raises NoQuote."""
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(self._quoted(account, c.exchange, c.symbol)) for c in contracts]
        quotes = [read.result() for read in reads]
        if any(quote is None for quote in quotes):
            raise NoQuote("no quote of " + ", ".join(c.symbol for c in contracts))
        known = [quote for quote in quotes if quote is not None]
        price = known[0].mid if strike is None else strike + known[0].mid - known[1].mid
        return EntryMarket(
            instrument=sized_by(instrument, contracts[0]),
            contracts=contracts,
            strike=strike,
            price=price,
            quote=Quote(ltp=price, bid=None, ask=None, at=known[0].at),
        )

    async def _quoted(self, account: str, exchange: str, symbol: str) -> Quote | None:
        try:
            return await self.quote(account, exchange, symbol)
        except NoQuote:
            return None

    async def _expiry(self, account: str, instrument: Instrument) -> date:
        listed = await self.expiries(account, instrument)
        return choose_expiry(listed, self.today(), instrument, await self.calendar(account))

    async def expiries(self, account: str, instrument: Instrument) -> Sequence[date]:
        """Return the expiries that the broker lists today, soonest first. Raises BrokerError."""
        broker = self._rt.broker(account)
        # Bank Nifty's strike needs the price of the future of the options' own expiry, so both must be listed.
        return await self._cache.get(
            self.today(),
            ("expiries", instrument.exchange, instrument.base),
            lambda: broker.expiries(instrument.exchange, instrument.base, options=instrument.form is Form.SYNTHETIC),
        )


def never_closes(close: datetime) -> bool:
    """Whether a day's close is midnight itself, which only cuts a market that is always open."""
    return close.astimezone(IST).time() == time(0)


def market_day(holiday: Holiday) -> MarketDay:
    """Return what a holiday says of its day; an exchange that it does not name keeps its ordinary hours."""
    sessions: dict[str, tuple[Session, ...]] = {}
    for times in holiday.open_sessions:
        sessions[times.exchange] = (*sessions.get(times.exchange, ()), Session(times.opens, times.closes))
    return MarketDay(day=holiday.day, sessions=sessions, closed=frozenset(holiday.closed))


def sized_by(instrument: Instrument, contract: Contract) -> Instrument:
    """Return the instrument with the contract's own lot: an index point is worth one rupee per unit of its options."""
    if instrument.form is Form.SYNTHETIC:
        return replace(instrument, lot_size=contract.lot_size, point_value=Decimal(contract.lot_size))
    return replace(instrument, lot_size=contract.lot_size)


def value_per_unit(instrument: Instrument, lot_size: int) -> Decimal:
    """Return rupees for a move of 1.0 in one unit of a contract whose lot has `lot_size` units."""
    return Decimal(1) if instrument.form is Form.SYNTHETIC else instrument.point_value / lot_size


def _interval(instrument: Instrument) -> Decimal:
    if instrument.strike_interval is None:
        raise ValueError(f"{instrument.name} is held as a synthetic future and needs a strike_interval")
    return instrument.strike_interval


def is_option(instrument: Instrument) -> bool:
    """Whether the instrument's orders are for options."""
    return instrument.form is Form.SYNTHETIC
