"""Whether a signal is young enough, and the market near enough to it, to enter. Exits are asked none of this."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from ratchet.domain.instruments import Limits
from ratchet.domain.refusals import Reason
from ratchet.domain.signals import SignalKind

WARNING_FROM = timedelta(seconds=10)
ELEVATED_FROM = timedelta(seconds=30)


class Age(StrEnum):
    """How old an entry signal is. Source: docs/domain.md, section 8.1 and D-21."""

    FRESH = "fresh"
    WARNING = "warning"
    ELEVATED = "elevated"
    STALE = "stale"
    FUTURE = "future"


def age_of(now: datetime, stamp: datetime, *, limit_seconds: float = 60, future_seconds: float = 5) -> Age:
    """Class the age of a signal stamped `stamp`. A stamp up to `future_seconds` ahead counts as now.

    An age of exactly `limit_seconds` is stale. Raises TypeError if only one of the two is aware.
    """
    age = now - stamp
    if age < timedelta(seconds=-future_seconds):
        return Age.FUTURE
    if age >= timedelta(seconds=limit_seconds):
        return Age.STALE
    if age >= ELEVATED_FROM:
        return Age.ELEVATED
    return Age.WARNING if age >= WARNING_FROM else Age.FRESH


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A contract's prices as the broker gave them. bid, ask: None (or 0) where that side of the book is empty."""

    ltp: Decimal
    bid: Decimal | None
    ask: Decimal | None
    at: datetime

    @property
    def mid(self) -> Decimal:
        """The middle of bid and ask, or the last traded price where one of them is missing."""
        if self.bid and self.ask:
            return (self.bid + self.ask) / 2
        return self.ltp


def entry_price_check(
    *,
    signal_price: Decimal,
    stop: Decimal,
    broker_price: Decimal,
    kind: SignalKind,
    age: Age,
    limits: Limits,
) -> Reason | None:
    """Return why an entry must not be made at the broker's price, or None; exactly at a limit passes.

    The allowed divergence is halved for a signal of elevated age; stale and future ones are refused by `age_of`
    before a price is asked for. Source: docs/domain.md, section 8.1.
    """
    if broker_price <= stop:
        return Reason.BELOW_STOP
    pyramid = kind is SignalKind.PYRAMID
    divergence = limits.divergence_pyramid if pyramid else limits.divergence_base
    if age is Age.ELEVATED:
        divergence = divergence / 2
    if abs(broker_price - signal_price) * 100 > divergence * signal_price:
        return Reason.DIVERGENCE
    increase = limits.risk_increase_pyramid if pyramid else limits.risk_increase_base
    if (broker_price - stop) * 100 > (100 + increase) * (signal_price - stop):
        return Reason.RISK_INCREASE
    return None


def price_sanity(quote: Quote, last_seen: Decimal | None, limits: Limits) -> Reason | None:
    """Refuse an entry on a quote that lies further from the last price seen than the limit; no reference, no test."""
    if last_seen is not None and abs(quote.mid - last_seen) * 100 > limits.price_sanity * last_seen:
        return Reason.PRICE_SANITY
    return None
