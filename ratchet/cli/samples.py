"""Makes messages as charts send them: fresh, valid, and near the prices that the simulator starts with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ratchet.domain.identity import fingerprint
from ratchet.domain.signals import ALL, BASE_LAYER, SignalKind

ER = Decimal("0.85")


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """An instrument's price, and a stop distance at which a 50,00,000 rupee account trades one or two lots."""

    instrument: str
    price: Decimal
    stop_distance: Decimal
    tick: Decimal

    @property
    def atr(self) -> Decimal:
        """Half the stop's distance."""
        return self.stop_distance / 2


MARKETS = (
    Market(instrument="BANK_NIFTY", price=Decimal(58240), stop_distance=Decimal(600), tick=Decimal("0.05")),
    Market(instrument="GOLD_MINI", price=Decimal(134870), stop_distance=Decimal(1800), tick=Decimal(1)),
    Market(instrument="SILVER_MINI", price=Decimal(246900), stop_distance=Decimal(3600), tick=Decimal(1)),
    Market(instrument="COPPER", price=Decimal(918), stop_distance=Decimal("7.2"), tick=Decimal("0.05")),
)

_CONDITIONS = (
    "rsi_condition",
    "ema_condition",
    "dc_condition",
    "adx_condition",
    "er_condition",
    "st_condition",
    "not_doji",
    "long_entry",
    "long_exit",
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message, ready to send. key: instrument, kind and layer, as people read them."""

    body: dict[str, Any]

    @property
    def instrument(self) -> str:
        """Its instrument."""
        return str(self.body["instrument"])

    @property
    def kind(self) -> str:
        """Its type."""
        return str(self.body["type"])

    @property
    def layer(self) -> str | None:
        """Its position, if it has one."""
        return self.body.get("position")

    @property
    def stamp(self) -> datetime:
        """Its timestamp."""
        return datetime.fromisoformat(self.body["timestamp"])

    @property
    def fingerprint(self) -> str:
        """What identifies it within its account."""
        return fingerprint(self.instrument, self.kind, self.layer, self.stamp)


def base_entry(market: Market, at: datetime) -> Message:
    """Open the base layer."""
    return _trade(SignalKind.BASE_ENTRY, market, at, position=BASE_LAYER, lots=2)


def pyramid(market: Market, at: datetime) -> Message:
    """Ask for a second layer; the price has not moved, so the gates refuse it."""
    return _trade(SignalKind.PYRAMID, market, at, position="Long_2", lots=1)


def exit_layer(market: Market, at: datetime, position: str = ALL) -> Message:
    """Close one layer, or ALL."""
    return _trade(SignalKind.EXIT, market, at, position=position, lots=0, reason="SuperTrend")


def bar(market: Market, at: datetime) -> Message:
    """Report a bar that closed at the price."""
    return Message(
        {
            "type": str(SignalKind.MARKET_DATA),
            "instrument": market.instrument,
            "timestamp": _stamp(at),
            "price": _number(market.price),
            "atr": _number(market.atr),
            "supertrend": _number(market.price - market.stop_distance),
        }
    )


def scout(market: Market, at: datetime) -> Message:
    """Report the view before the close, with nothing to do."""
    conditions = dict.fromkeys(_CONDITIONS, True) | {"dc_condition": False, "long_entry": False, "long_exit": False}
    indicators = {
        "rsi": "73.4",
        "ema": _number(market.price - market.stop_distance),
        "dc_upper": _number(market.price + market.atr),
        "adx": "12.8",
        "er": _number(ER),
        "supertrend": _number(market.price - market.stop_distance),
        "atr": _number(market.atr),
    }
    return Message(
        {
            "type": str(SignalKind.EOD_MONITOR),
            "instrument": market.instrument,
            "timestamp": _stamp(at),
            "price": _number(market.price),
            "conditions": conditions,
            "indicators": indicators,
        }
    )


def samples(at: datetime, markets: tuple[Market, ...] = MARKETS) -> Iterator[Message]:
    """Yield one message of each kind for each instrument. Only COPPER is closed again, so that positions stay.

    The exits of a second layer are stamped a second earlier than its pyramids: a later one would overtake a pyramid
    that still waits for its base, and end it before any gate has looked at it.
    """
    for make in (base_entry, bar, scout, pyramid):
        for market in markets:
            yield make(market, at)
    for market in markets:
        whole = market.instrument == "COPPER"
        yield exit_layer(market, at, ALL) if whole else exit_layer(market, at - timedelta(seconds=1), "Long_2")


def priced(prices: Mapping[str, Decimal]) -> tuple[Market, ...]:
    """Return the markets at other prices, their stops as far away. Raises KeyError for an unknown instrument."""
    known = {market.instrument: market for market in MARKETS}
    for name, price in prices.items():
        old = known[name]
        known[name] = Market(instrument=name, price=price, stop_distance=old.stop_distance, tick=old.tick)
    return tuple(known.values())


def _trade(kind: SignalKind, market: Market, at: datetime, *, position: str, lots: int, **more: str) -> Message:
    return Message(
        {
            "type": str(kind),
            "instrument": market.instrument,
            "position": position,
            "price": _number(market.price),
            "stop": _number(market.price - market.stop_distance),
            "lots": lots,
            "atr": _number(market.atr),
            "er": _number(ER),
            "supertrend": _number(market.price - market.stop_distance),
            "roc": None,
            "timestamp": _stamp(at),
            **more,
        }
    )


def _number(value: Decimal) -> str:
    """Write a number exactly; the service takes decimal strings."""
    return f"{value:f}"


def _stamp(at: datetime) -> str:
    return at.replace(microsecond=0).isoformat()
