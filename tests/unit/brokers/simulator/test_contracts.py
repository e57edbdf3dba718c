import itertools
from datetime import date
from decimal import Decimal

import pytest

from ratchet.brokers.simulator.contracts import (
    BANKNIFTY,
    COPPER,
    GOLDM,
    SILVERM,
    UNDERLYINGS,
    Kind,
    Master,
    Underlying,
    expiries,
)
from ratchet.brokers.simulator.sessions import trading_day

TODAY = date(2027, 1, 11)


def test_bank_nifty_expires_on_the_last_tuesday_or_the_trading_day_before_it() -> None:
    assert expiries(BANKNIFTY, TODAY)[:3] == [date(2027, 1, 25), date(2027, 2, 23), date(2027, 3, 30)]


def test_gold_mini_expires_on_the_fifth() -> None:
    assert expiries(GOLDM, TODAY)[:3] == [date(2027, 2, 5), date(2027, 3, 5), date(2027, 4, 5)]


def test_silver_mini_lists_its_five_months_only() -> None:
    assert expiries(SILVERM, TODAY) == [
        date(2027, 2, 26),
        date(2027, 4, 30),
        date(2027, 6, 30),
        date(2027, 8, 31),
        date(2027, 11, 30),
    ]


def test_copper_expires_on_the_last_trading_day_of_the_month() -> None:
    assert expiries(COPPER, TODAY)[:2] == [date(2027, 1, 29), date(2027, 2, 26)]


def test_an_expiry_is_listed_on_its_own_day_and_not_after() -> None:
    assert expiries(BANKNIFTY, date(2027, 1, 25))[0] == date(2027, 1, 25)
    assert expiries(BANKNIFTY, date(2027, 1, 26))[0] == date(2027, 2, 23)


@pytest.mark.parametrize("underlying", UNDERLYINGS, ids=lambda row: row.base)
def test_every_expiry_of_two_years_is_a_trading_day_and_they_rise(underlying: Underlying) -> None:
    for start in (date(2026, 1, 1), date(2026, 11, 27), date(2027, 12, 31)):
        found = expiries(underlying, start)
        assert len(found) == underlying.listed
        assert found == sorted(set(found))
        assert all(trading_day(underlying.exchange, day) and day >= start for day in found)


@pytest.mark.parametrize(
    ("exchange", "symbol", "lot", "freeze", "tick"),
    [
        ("NFO", "BANKNIFTY25JAN2758000PE", 30, 600, "0.05"),
        ("NFO", "BANKNIFTY25JAN27FUT", 30, 600, "0.05"),
        ("MCX", "GOLDM05FEB27FUT", 100, 1, "1"),
        ("MCX", "SILVERM30APR27FUT", 5, 1, "1"),
        ("MCX", "COPPER29JAN27FUT", 2500, 1, "0.05"),
    ],
)
def test_contracts_carry_lot_freeze_and_tick(exchange: str, symbol: str, lot: int, freeze: int, tick: str) -> None:
    found = Master(TODAY).find(exchange, symbol)
    assert found is not None
    assert (found.underlying.lot, found.underlying.freeze, found.underlying.tick) == (lot, freeze, Decimal(tick))


def test_strikes_stand_500_apart_on_both_sides_of_the_price() -> None:
    strikes = sorted(row.strike for row in Master(TODAY).of(BANKNIFTY) if row.kind is Kind.CALL and row.strike)
    assert {right - left for left, right in itertools.pairwise(strikes)} == {Decimal(0), Decimal(500)}
    assert strikes[0] < Decimal(40000) < Decimal(80000) < strikes[-1]
