"""When contracts expire, which one a new layer takes, and when an old one has to be rolled.

The broker's list of expiries is the authority; the rules here are its cross-check. Source: docs/domain.md, 9 and 10.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ratchet.domain.calendar import TradingCalendar
from ratchet.domain.instruments import ExpiryRule, Instrument

_TUESDAY, _WEDNESDAY, _THURSDAY = 1, 2, 3
_BANK_NIFTY_WEEKDAYS = (
    # (from this month on, weekday of the last week), newest first
    ((2025, 9), _TUESDAY),
    ((2025, 1), _THURSDAY),
    ((2024, 3), _WEDNESDAY),
    ((0, 1), _THURSDAY),
)
_SILVER_MONTHS = frozenset({2, 4, 6, 8, 11})
_TENDER_MARGIN = 2
"""Trading days kept between a roll and the start of delivery."""

NEAR_AND_NEXT = 2
"""How many expiries are cross-checked: those between which a roll happens."""


class NoExpiry(LookupError):
    """No listed expiry is far enough away for a new layer."""

    def __init__(self, instrument: str, today: date) -> None:
        super().__init__(f"{instrument} has no listed expiry that is not yet due to roll on {today}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryMismatch:
    """How the broker's list differs from the rule. missing: by the rule, not listed; unexpected: the reverse."""

    missing: tuple[date, ...]
    unexpected: tuple[date, ...]


def expiry_of(rule: ExpiryRule, year: int, month: int, calendar: TradingCalendar, exchange: str) -> date | None:
    """Return the expiry of a contract month, or None where the rule lists none.

    A day without trading moves it to the last trading day before, be that in the month before.
    """
    nominal = _nominal(rule, year, month)
    return None if nominal is None else calendar.trading_day_on_or_before(exchange, nominal)


def _nominal(rule: ExpiryRule, year: int, month: int) -> date | None:
    last = date(year, month, monthrange(year, month)[1])
    match rule:
        case ExpiryRule.BANK_NIFTY_MONTHLY:
            weekday = next(day for start, day in _BANK_NIFTY_WEEKDAYS if (year, month) >= start)
            return last - timedelta(days=(last.weekday() - weekday) % 7)
        case ExpiryRule.FIFTH:
            return date(year, month, 5)
        case ExpiryRule.MONTH_END:
            return last
        case ExpiryRule.SILVER_MONTHS:
            return last if month in _SILVER_MONTHS else None


def listed_expiries(
    rule: ExpiryRule, from_day: date, count: int, calendar: TradingCalendar, exchange: str
) -> tuple[date, ...]:
    """Return the next `count` expiries by the rule, soonest first; one on `from_day` itself is still listed.

    The moved date decides what is past, not the nominal one.
    """
    found: list[date] = []
    year, month = from_day.year, from_day.month
    while len(found) < count:
        expiry = expiry_of(rule, year, month, calendar, exchange)
        if expiry is not None and expiry >= from_day:
            found.append(expiry)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return tuple(found)


def roll_due(expiry: date, today: date, instrument: Instrument, calendar: TradingCalendar) -> bool:
    """Whether a layer in the contract of this expiry has to be rolled today.

    By calendar days (as many as the threshold is not yet due) or by the nearness of delivery in trading days.
    """
    if (expiry - today).days < instrument.roll_days:
        return True
    if instrument.tender_days == 0:
        return False
    left = calendar.trading_days_between(instrument.exchange, today, expiry)
    return left <= instrument.tender_days + _TENDER_MARGIN


def choose_expiry(listed: Iterable[date], today: date, instrument: Instrument, calendar: TradingCalendar) -> date:
    """Return the expiry that a new layer takes: the first for which no roll is due. Raises NoExpiry."""
    for expiry in sorted(listed):
        if not roll_due(expiry, today, instrument, calendar):
            return expiry
    raise NoExpiry(instrument.name, today)


def expiry_mismatch(
    listed: Sequence[date],
    rule: ExpiryRule,
    from_day: date,
    calendar: TradingCalendar,
    exchange: str,
    count: int = NEAR_AND_NEXT,
) -> ExpiryMismatch | None:
    """Compare the broker's list with the next `count` expiries by the rule. None: they agree."""
    expected = listed_expiries(rule, from_day, count, calendar, exchange)
    near = {expiry for expiry in listed if from_day <= expiry <= expected[-1]}
    missing = tuple(expiry for expiry in expected if expiry not in near)
    unexpected = tuple(sorted(near.difference(expected)))
    return ExpiryMismatch(missing=missing, unexpected=unexpected) if missing or unexpected else None
