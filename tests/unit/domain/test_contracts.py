"""How contracts are spelled, and which strike is taken."""

from datetime import date
from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.contracts import (
    MONTHS,
    Right,
    SymbolParts,
    choose_strike,
    format_expiry,
    future_symbol,
    option_symbol,
    parse_expiry,
    parse_symbol,
)

STEADY = settings(max_examples=50, deadline=None, derandomize=True)
days = st.dates(date(2000, 1, 1), date(2099, 12, 31))
bases = st.sampled_from(["BANKNIFTY", "GOLDM", "SILVERM", "COPPER"])


@pytest.mark.parametrize(
    ("base", "expiry", "symbol"),
    [
        ("GOLDM", date(2027, 2, 5), "GOLDM05FEB27FUT"),
        ("SILVERM", date(2027, 4, 30), "SILVERM30APR27FUT"),
        ("COPPER", date(2027, 1, 29), "COPPER29JAN27FUT"),
    ],
)
def test_a_future_is_spelled_base_expiry_fut(base: str, expiry: date, symbol: str) -> None:
    assert future_symbol(base, expiry) == symbol


@pytest.mark.parametrize("strike", [D(58000), D("58000.00"), D("5.8E4")])
def test_an_option_is_spelled_with_its_strike_without_trailing_zeros(strike: D) -> None:
    assert option_symbol("BANKNIFTY", date(2027, 1, 25), strike, Right.PE) == "BANKNIFTY25JAN2758000PE"


def test_a_broken_strike_keeps_its_decimals() -> None:
    assert option_symbol("COPPER", date(2027, 1, 25), D("917.50"), Right.CE) == "COPPER25JAN27917.5CE"


@STEADY
@given(bases, days)
def test_a_future_is_read_back(base: str, expiry: date) -> None:
    assert parse_symbol(future_symbol(base, expiry)) == SymbolParts(base=base, expiry=expiry)


@STEADY
@given(bases, days, st.decimals("0.05", 200_000, places=2), st.sampled_from(Right))
def test_an_option_is_read_back(base: str, expiry: date, strike: D, right: Right) -> None:
    parts = parse_symbol(option_symbol(base, expiry, strike, right))
    assert parts == SymbolParts(base=base, expiry=expiry, strike=strike, right=right)


@pytest.mark.parametrize(
    "symbol",
    ["", "RELIANCE", "NIFTY", "GOLDM05FEB27", "GOLDM31FEB27FUT", "goldm05feb27fut", "05FEB27FUT", "GOLDM5FEB27FUT",
     "BANKNIFTY25JAN27CE", "BANKNIFTY25JAN2758000XX", "GOLDM05FEB27FUT\n"],
)  # fmt: skip
def test_what_is_no_contract_of_ours_is_not_read(symbol: str) -> None:
    assert parse_symbol(symbol) is None


def test_a_base_may_hold_digits() -> None:
    assert parse_symbol("360ONE26NOV26FUT") == SymbolParts(base="360ONE", expiry=date(2026, 11, 26))


def test_an_expiry_is_read_as_day_month_year() -> None:
    assert parse_expiry("29-DEC-26") == date(2026, 12, 29)
    assert parse_expiry("27-jan-05") == date(2005, 1, 27)
    assert format_expiry(date(2026, 12, 29)) == "29-DEC-26"


@STEADY
@given(days)
def test_an_expiry_is_read_back(day: date) -> None:
    assert parse_expiry(format_expiry(day)) == day


@pytest.mark.parametrize("text", ["", "29-DEC-2026", "2026-12-29", "31-FEB-27", "29DEC26", "9-DEC-26", "29-DEZ-26"])
def test_anything_else_is_no_expiry(text: str) -> None:
    with pytest.raises(ValueError, match="DD-MMM-YY"):
        parse_expiry(text)


def test_the_months_are_in_their_order() -> None:
    assert len(MONTHS) == 12
    assert [parse_expiry(f"01-{name}-27").month for name in MONTHS] == list(range(1, 13))


@pytest.mark.parametrize(
    ("price", "strike"),
    [
        ("58249", 58000),
        ("58249.99", 58000),
        ("58250", 58000),
        ("58250.05", 58500),
        ("58251", 58500),
        ("58500", 58500),
        ("58750", 59000),
        ("58749.95", 58500),
        ("59000", 59000),
    ],
)
def test_the_worked_example_of_strikes_where_a_tie_goes_to_the_thousand(price: str, strike: int) -> None:
    assert choose_strike(D(price), D(500)) == strike


@pytest.mark.parametrize(
    ("price", "interval", "strike"),
    [("57950", 100, 58000), ("58050", 100, 58000), ("58150", 100, 58100), ("900", 200, 1000)],
)
def test_a_tie_of_another_interval_goes_to_the_thousand_or_else_down(price: str, interval: int, strike: int) -> None:
    assert choose_strike(D(price), D(interval)) == strike


@STEADY
@given(st.decimals(1, 200_000, places=2), st.sampled_from([D(50), D(100), D(500)]))
def test_a_strike_is_a_multiple_and_none_is_nearer(price: D, interval: D) -> None:
    strike = choose_strike(price, interval)
    assert strike % interval == 0
    assert abs(strike - price) <= interval / 2
