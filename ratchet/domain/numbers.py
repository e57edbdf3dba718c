"""Exact numbers: how prices, rupees and quantities are rounded. Nothing here is ever a float."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

ZERO = Decimal(0)
QUANTUM = Decimal("0.0001")
"""The step in which prices and rupees are stored (four decimals: copper quotes paise, averages need more)."""


def stored(value: Decimal) -> Decimal:
    """Round `value` (rupees or price) to the stored step, half to even."""
    return value.quantize(QUANTUM, rounding=ROUND_HALF_EVEN)


def floor_quotient(numerator: Decimal, denominator: Decimal) -> int:
    """Return floor(numerator / denominator) exactly, as a whole number.

    Works on the integer ratio, so no intermediate rounding can gain or lose a lot.
    Raises ZeroDivisionError if the denominator is zero.
    """
    n_num, n_den = numerator.as_integer_ratio()
    d_num, d_den = denominator.as_integer_ratio()
    return (n_num * d_den) // (n_den * d_num)


def ceil_quotient(numerator: Decimal, denominator: Decimal) -> int:
    """Return ceil(numerator / denominator) exactly, as a whole number."""
    return -floor_quotient(numerator.copy_negate(), denominator)  # a unary minus would round to the context


def tick_up(price: Decimal, tick: Decimal) -> Decimal:
    """Round a price up to the next multiple of `tick` (a buy's rounding)."""
    return (price / tick).to_integral_value(rounding=ROUND_CEILING) * tick


def tick_down(price: Decimal, tick: Decimal) -> Decimal:
    """Round a price down to a multiple of `tick`, never below one tick (a sell's rounding)."""
    return max(tick, (price / tick).to_integral_value(rounding=ROUND_FLOOR) * tick)
