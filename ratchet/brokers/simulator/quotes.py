"""Prices: one per underlying, options in parity with their future, single symbols settable by hand."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from ratchet.brokers.simulator.contracts import UNDERLYINGS, Instrument, Kind, Underlying
from ratchet.brokers.simulator.orders import ZERO

_AT_THE_MONEY = Decimal("0.01")
"""Time value of an option at the money, as a share of the future's price; it falls off with the distance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Last, bid and ask price in rupees per quoted unit."""

    ltp: Decimal
    bid: Decimal
    ask: Decimal


class QuoteBoard:
    """The prices in force. An option costs what makes strike + call - put equal its own expiry's future."""

    def __init__(self) -> None:
        """Start at the underlyings' first prices."""
        self._bases: dict[str, Quote] = {row.base: _around(row.price, row.tick) for row in UNDERLYINGS}
        self._by_hand: dict[tuple[str, str], Quote] = {}

    def set_underlying(self, underlying: Underlying, ltp: Decimal, bid: Decimal | None, ask: Decimal | None) -> None:
        """Set the price of an underlying's index and futures; prices set by hand on its symbols are forgotten."""
        self._bases[underlying.base] = _around(ltp, underlying.tick, bid, ask)
        for key in [key for key in self._by_hand if key[1].startswith(underlying.base)]:
            del self._by_hand[key]

    def set_symbol(self, instrument: Instrument, ltp: Decimal, bid: Decimal | None, ask: Decimal | None) -> None:
        """Set one instrument's price; a future's price moves the options of its expiry."""
        key = (instrument.exchange, instrument.symbol)
        self._by_hand[key] = _around(ltp, instrument.underlying.tick, bid, ask)

    def quote(self, instrument: Instrument, future: Instrument | None) -> Quote:
        """Return an instrument's quote; `future` is the future of an option's expiry."""
        by_hand = self._by_hand.get((instrument.exchange, instrument.symbol))
        if by_hand is not None:
            return by_hand
        if future is None or instrument.strike is None:
            return self._bases[instrument.underlying.base]
        return _option_quote(instrument, instrument.strike, self.quote(future, None).ltp)

    def shown(self) -> dict[str, Quote]:
        """Return the underlyings' prices and those set by hand, by name."""
        return self._bases | {f"{exchange}:{symbol}": quote for (exchange, symbol), quote in self._by_hand.items()}


def _around(ltp: Decimal, tick: Decimal, bid: Decimal | None = None, ask: Decimal | None = None) -> Quote:
    return Quote(ltp=ltp, bid=max(tick, ltp - tick) if bid is None else bid, ask=ltp + tick if ask is None else ask)


def _option_quote(option: Instrument, strike: Decimal, future: Decimal) -> Quote:
    tick = option.underlying.tick
    at_the_money = future * _AT_THE_MONEY
    distance = abs(future - strike) / at_the_money
    ticks = (at_the_money / (1 + distance) / tick).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    inner = future - strike if option.kind is Kind.CALL else strike - future
    return _around(max(inner, ZERO) + max(ticks, Decimal(2)) * tick, tick)
