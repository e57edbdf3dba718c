"""How contracts are spelled in OpenAlgo's symbols, and which strike a synthetic future takes.

A symbol is built once, when a layer is opened or rolled, and stored with the layer. Source: docs/domain.md, section 4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from ratchet.domain.numbers import floor_quotient

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_CENTURY = 2000
_ROUND_STRIKE = Decimal(1000)

_MONTH = "|".join(MONTHS)
_EXPIRY = re.compile(rf"(?P<day>[0-9]{{2}})-(?P<month>{_MONTH})-(?P<year>[0-9]{{2}})")
_SYMBOL = re.compile(
    rf"(?P<base>[A-Z0-9&-]+?)(?P<day>[0-9]{{2}})(?P<month>{_MONTH})(?P<year>[0-9]{{2}})"
    r"(?:FUT|(?P<strike>[0-9]+(?:\.[0-9]+)?)(?P<right>CE|PE))"
)


class Right(StrEnum):
    """An option's right: call (CE) or put (PE), European."""

    CE = "CE"
    PE = "PE"


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolParts:
    """What a symbol says. strike, right: None for a future."""

    base: str
    expiry: date
    strike: Decimal | None = None
    right: Right | None = None


def future_symbol(base: str, expiry: date) -> str:
    """Return a future's symbol, as `GOLDM05FEB27FUT`."""
    return f"{base}{_compact(expiry)}FUT"


def option_symbol(base: str, expiry: date, strike: Decimal, right: Right) -> str:
    """Return an option's symbol, as `BANKNIFTY25JAN2758000PE`. A strike is written without trailing zeros."""
    return f"{base}{_compact(expiry)}{strike.normalize():f}{right}"


def parse_symbol(symbol: str) -> SymbolParts | None:
    """Return what a symbol says, or None where it is no future's and no option's."""
    match = _SYMBOL.fullmatch(symbol)
    expiry = _date_of(match) if match else None
    if match is None or expiry is None:
        return None
    if match["right"] is None:
        return SymbolParts(base=match["base"], expiry=expiry)
    return SymbolParts(base=match["base"], expiry=expiry, strike=Decimal(match["strike"]), right=Right(match["right"]))


def parse_expiry(text: str) -> date:
    """Return the date of `29-DEC-26`, in any case of letters. Raises ValueError for anything else.

    The parts are read in this order only: day, month, year.
    """
    match = _EXPIRY.fullmatch(text.upper())
    expiry = _date_of(match) if match else None
    if expiry is None:
        raise ValueError(f"{text!r} is no expiry of the form DD-MMM-YY")
    return expiry


def format_expiry(expiry: date) -> str:
    """Return a date as OpenAlgo writes it: `29-DEC-26`."""
    return f"{expiry.day:02}-{MONTHS[expiry.month - 1]}-{expiry.year % 100:02}"


def choose_strike(price: Decimal, interval: Decimal) -> Decimal:
    """Return the multiple of `interval` nearest to the future's price (points).

    Half-way between two, the multiple of 1000 is taken, as the one more traded; the lower where neither is one.
    """
    lower = floor_quotient(price, interval) * interval
    upper = lower + interval
    below, above = price - lower, upper - price
    if below != above:
        return lower if below < above else upper
    return upper if upper % _ROUND_STRIKE == 0 else lower


def _compact(expiry: date) -> str:
    return format_expiry(expiry).replace("-", "")


def _date_of(match: re.Match[str]) -> date | None:
    try:
        return date(_CENTURY + int(match["year"]), MONTHS.index(match["month"]) + 1, int(match["day"]))
    except ValueError:
        return None
