"""Readers of single fields: each takes a raw JSON value and returns an exact one, or names the field and the rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ratchet.domain.calendar import IST
from ratchet.domain.numbers import ZERO
from ratchet.domain.webhook_body import InvalidSignal

INSTRUMENTS = frozenset({"BANK_NIFTY", "GOLD_MINI", "SILVER_MINI", "COPPER"})

_BELOW = Decimal(10**9)
_MOST_DECIMALS = 10_240
"""As many as a body could spell out. More come only from an exponent, and would cost memory to compute with."""

_PLAIN_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-5][0-9])?"
)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_TOO_LATE = datetime(2100, 1, 1, tzinfo=UTC)


def word(value: Any, allowed: frozenset[str], field: str, rule: str) -> str:
    """Return a word in upper case if it is one of `allowed`, untrimmed.

    Letters outside ASCII are refused before upper-casing: some of them (the dotless i) would turn into allowed ones.
    """
    if isinstance(value, str) and value.isascii() and value.upper() in allowed:
        return value.upper()
    raise InvalidSignal(field, rule, f"must be one of {', '.join(sorted(allowed))}")


def timestamp(value: Any, field: str = "timestamp") -> datetime:
    """Return the instant in UTC (V04), to the microsecond. A text without an offset is Indian time."""
    if not isinstance(value, str) or _TIMESTAMP.fullmatch(value) is None:
        raise InvalidSignal(field, "V04", "must be YYYY-MM-DDTHH:MM:SS, with an optional fraction and offset")
    try:
        local = datetime.fromisoformat(value)  # further digits of the fraction are dropped
        instant = (local if local.tzinfo is not None else local.replace(tzinfo=IST)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidSignal(field, "V04", "must be a real date, time and offset") from error
    if not _EARLIEST <= instant < _TOO_LATE:
        raise InvalidSignal(field, "V04", "must lie from 2000-01-01 up to 2100-01-01 UTC")
    return instant


def number(value: Any, field: str, rule: str = "V08") -> Decimal:
    """Return a JSON number or a plain decimal string exactly (V08)."""
    found = _number_or_none(value)
    if found is None:
        raise InvalidSignal(field, rule, "must be a finite number")
    if not found:
        return ZERO  # neither negative nor with decimals
    if not -_BELOW < found < _BELOW:
        raise InvalidSignal(field, rule, "must be below 1,000,000,000 in magnitude")
    if isinstance(value, Decimal) or (isinstance(value, str) and len(value) > _MOST_DECIMALS):
        exponent = found.as_tuple().exponent
        if not isinstance(exponent, int) or exponent < -_MOST_DECIMALS:
            raise InvalidSignal(field, rule, "has too many decimals")
    return found


def _number_or_none(value: Any) -> Decimal | None:
    if isinstance(value, str):
        return Decimal(value) if _PLAIN_DECIMAL.fullmatch(value) else None
    if isinstance(value, bool):  # bool is an int to Python, not to JSON
        return None
    return Decimal(value) if isinstance(value, int | Decimal) else None


def whole(value: Decimal, field: str, rule: str) -> int:
    """Return an integral number as int: 5 and 5.0, not 2.7."""
    if value != value.to_integral_value():
        raise InvalidSignal(field, rule, "must be a whole number")
    return int(value)


def optional_number(fields: Mapping[str, Any], name: str, rule: str, prefix: str = "") -> Decimal | None:
    """Return a number, or None where the field is missing or null."""
    value = fields.get(name)
    return None if value is None else number(value, prefix + name, rule)


def mapping(value: Any, field: str, rule: str) -> Mapping[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise InvalidSignal(field, rule, "must be an object")
    return value


def boolean(fields: Mapping[str, Any], name: str, rule: str, prefix: str) -> bool:
    """Return a JSON boolean; its text is an error, as a missing one is."""
    value = fields.get(name)
    if not isinstance(value, bool):
        raise InvalidSignal(prefix + name, rule, "must be true or false")
    return value


def need(holds: bool, field: str, rule: str, message: str) -> None:
    """Raise InvalidSignal unless the rule holds."""
    if not holds:
        raise InvalidSignal(field, rule, message)
