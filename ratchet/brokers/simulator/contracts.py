"""The instrument master: which contracts are listed from a date on, with lot, tick and freeze quantity.

Source: docs/domain.md, sections 4 and 10. Lots of MCX contracts are in units (100 g, 5 kg, 2500 kg), as the
brokers list them whose master files carry the multiplier.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from ratchet.brokers.simulator.sessions import previous_trading_day


class Kind(StrEnum):
    """What an instrument is, as OpenAlgo's `instrumenttype` says it."""

    FUTURE = "FUT"
    CALL = "CE"
    PUT = "PE"
    INDEX = "INDEX"


@dataclass(frozen=True, slots=True, kw_only=True)
class Underlying:
    """What contracts are made on."""

    base: str
    exchange: str
    price: Decimal
    """First quote, rupees per quoted unit."""
    lot: int
    tick: Decimal
    freeze: int
    """Largest quantity of one order in units; 1: the exchange's list has none, as OpenAlgo shows it."""
    per_unit: Decimal
    """Rupees per 1.0 of price per unit of quantity."""
    expiry_of: Callable[[int, int], date | None]
    """The expiry of a (year, month), None when no contract is listed for it."""
    listed: int
    """How many expiries are listed at a time."""
    strike_step: Decimal | None = None
    index_exchange: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One tradable contract, or an index that only has quotes."""

    token: int
    symbol: str
    exchange: str
    kind: Kind
    underlying: Underlying
    expiry: date | None = None
    strike: Decimal | None = None


def expiry_word(day: date) -> str:
    """Return `29DEC26`, as symbols and requests spell an expiry."""
    return day.strftime("%d%b%y").upper()


def expiry_text(day: date) -> str:
    """Return `29-DEC-26`, as answers spell an expiry."""
    return day.strftime("%d-%b-%y").upper()


def _month_end(year: int, month: int) -> date:
    following = date(year + 1, 1, 1) if month == 12 else date(year, month + 1, 1)
    return following - timedelta(days=1)


def _last_tuesday(year: int, month: int) -> date:
    last = _month_end(year, month)
    return previous_trading_day("NFO", last - timedelta(days=(last.weekday() - 1) % 7))


def _fifth(year: int, month: int) -> date:
    return previous_trading_day("MCX", date(year, month, 5))


def _last_day(year: int, month: int) -> date:
    return previous_trading_day("MCX", _month_end(year, month))


def _silver(year: int, month: int) -> date | None:
    return _last_day(year, month) if month in (2, 4, 6, 8, 11) else None


BANKNIFTY = Underlying(
    base="BANKNIFTY",
    exchange="NFO",
    price=Decimal("58240"),
    lot=30,
    tick=Decimal("0.05"),
    freeze=600,
    per_unit=Decimal(1),
    expiry_of=_last_tuesday,
    listed=4,
    strike_step=Decimal(500),
    index_exchange="NSE_INDEX",
)
GOLDM = Underlying(
    base="GOLDM",
    exchange="MCX",
    price=Decimal("134870"),
    lot=100,
    tick=Decimal(1),
    freeze=1,
    per_unit=Decimal("0.1"),
    expiry_of=_fifth,
    listed=6,
)
SILVERM = Underlying(
    base="SILVERM",
    exchange="MCX",
    price=Decimal("246900"),
    lot=5,
    tick=Decimal(1),
    freeze=1,
    per_unit=Decimal(1),
    expiry_of=_silver,
    listed=5,
)
COPPER = Underlying(
    base="COPPER",
    exchange="MCX",
    price=Decimal("918"),
    lot=2500,
    tick=Decimal("0.05"),
    freeze=1,
    per_unit=Decimal(1),
    expiry_of=_last_day,
    listed=6,
)
UNDERLYINGS = (BANKNIFTY, GOLDM, SILVERM, COPPER)
BY_NAME = {row.base: row for row in UNDERLYINGS} | {
    "BANK_NIFTY": BANKNIFTY,
    "GOLD_MINI": GOLDM,
    "SILVER_MINI": SILVERM,
}
"""Underlyings by OpenAlgo's base and by the signals' instrument name."""


def expiries(underlying: Underlying, today: date) -> list[date]:
    """Return the listed expiries in order, today's own included. The adjusted date decides what is past."""
    found: list[date] = []
    year, month = today.year, today.month
    while len(found) < underlying.listed:
        expiry = underlying.expiry_of(year, month)
        if expiry is not None and expiry >= today:
            found.append(expiry)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return found


class Master:
    """All instruments listed on one date."""

    def __init__(self, today: date) -> None:
        """List every contract that has not expired before `today`."""
        self.today = today
        self.by_symbol: dict[tuple[str, str], Instrument] = {}
        for underlying in UNDERLYINGS:
            for row in _listed(underlying, today, first_token=len(self.by_symbol) + 1):
                self.by_symbol[row.exchange, row.symbol] = row

    def find(self, exchange: str, symbol: str) -> Instrument | None:
        """Return an instrument, None if it is not listed."""
        return self.by_symbol.get((exchange, symbol))

    def of(self, underlying: Underlying) -> list[Instrument]:
        """Return every instrument of an underlying."""
        return [row for row in self.by_symbol.values() if row.underlying is underlying]

    def future(self, underlying: Underlying, expiry: date) -> Instrument | None:
        """Return the future of an expiry."""
        return self.find(underlying.exchange, f"{underlying.base}{expiry_word(expiry)}FUT")


def _listed(underlying: Underlying, today: date, first_token: int) -> Iterator[Instrument]:
    token = first_token
    if underlying.index_exchange is not None:
        yield Instrument(
            token=token,
            symbol=underlying.base,
            exchange=underlying.index_exchange,
            kind=Kind.INDEX,
            underlying=underlying,
        )
    for expiry in expiries(underlying, today):
        for kind, strike in _contract_kinds(underlying):
            token += 1
            tail = kind.value if strike is None else f"{strike}{kind.value}"
            yield Instrument(
                token=token,
                symbol=f"{underlying.base}{expiry_word(expiry)}{tail}",
                exchange=underlying.exchange,
                kind=kind,
                underlying=underlying,
                expiry=expiry,
                strike=strike,
            )


def _contract_kinds(underlying: Underlying) -> Iterator[tuple[Kind, Decimal | None]]:
    yield Kind.FUTURE, None
    step = underlying.strike_step
    if step is None:
        return
    low, high = int(underlying.price // 2 // step), int(underlying.price * 3 // 2 // step)
    for count in range(low, high + 1):
        yield Kind.CALL, count * step
        yield Kind.PUT, count * step
