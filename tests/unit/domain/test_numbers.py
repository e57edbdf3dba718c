"""Rounding is exact, and its direction is the one named."""

from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.numbers import ceil_quotient, floor_quotient, stored, tick_down, tick_up

numbers = st.decimals(min_value=-(10**9), max_value=10**9, places=6)
prices = st.integers(1, 10**9).map(lambda n: D(n) / 10_000)
ticks = st.sampled_from([D("0.05"), D("0.01"), D(1), D(5)])


@pytest.mark.parametrize(
    ("value", "kept"), [("1.00005", "1.0000"), ("1.00015", "1.0002"), ("1.000051", "1.0001"), ("-1.00015", "-1.0002")]
)
def test_stored_rounds_to_four_places_half_to_even(value: str, kept: str) -> None:
    assert stored(D(value)) == D(kept)


def test_an_exact_quotient_is_neither_raised_nor_lowered() -> None:
    assert floor_quotient(D(90000) * D("0.7"), D(10500)) == ceil_quotient(D(90000) * D("0.7"), D(10500)) == 6


def test_a_quotient_that_the_decimal_context_would_round_is_exact() -> None:
    almost, above = D("9" * 40), D("1" + "0" * 39 + "1")
    assert floor_quotient(almost, D(10) ** 39) == 9
    assert ceil_quotient(above, D(10) ** 39) == 11


def test_a_zero_denominator_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        floor_quotient(D(1), D(0))


@settings(max_examples=50, deadline=None)
@given(numerator=numbers, denominator=numbers.filter(bool))
def test_floor_and_ceil_enclose_the_quotient(numerator: D, denominator: D) -> None:
    quotient = Fraction(numerator) / Fraction(denominator)
    assert floor_quotient(numerator, denominator) <= quotient < floor_quotient(numerator, denominator) + 1
    assert ceil_quotient(numerator, denominator) - 1 < quotient <= ceil_quotient(numerator, denominator)


@settings(max_examples=50, deadline=None)
@given(price=prices, tick=ticks)
def test_a_buy_is_rounded_up_and_a_sell_down_to_the_tick(price: D, tick: D) -> None:
    up, down = tick_up(price, tick), tick_down(price, tick)
    assert up % tick == down % tick == 0
    assert price <= up < price + tick
    assert down == tick if price < tick else price - tick < down <= price


def test_a_price_on_the_tick_stays() -> None:
    assert tick_up(D("612.40"), D("0.05")) == tick_down(D("612.40"), D("0.05")) == D("612.40")


def test_a_sell_never_goes_below_one_tick() -> None:
    assert tick_down(D("0.01"), D("0.05")) == D("0.05")
    assert tick_down(D("-3"), D(1)) == 1
