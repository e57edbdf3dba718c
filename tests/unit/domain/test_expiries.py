"""Which day a contract expires, when a roll is due, and which contract a new layer takes."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.calendar import MarketDay, TradingCalendar
from ratchet.domain.expiries import (
    ExpiryMismatch,
    NoExpiry,
    choose_expiry,
    expiry_mismatch,
    expiry_of,
    listed_expiries,
    roll_due,
)
from ratchet.domain.instruments import ExpiryRule, Instrument
from tests.unit.domain.builders import BANK_NIFTY, GOLD

PLAIN = TradingCalendar()
REPUBLIC_DAY = MarketDay(day=date(2027, 1, 26), closed=frozenset({"NSE", "NFO", "MCX"}))
HOLIDAYS = TradingCalendar([REPUBLIC_DAY])
MONTHLY = ExpiryRule.BANK_NIFTY_MONTHLY
DELIVERED = replace(GOLD, roll_days=8, tender_days=5)


@pytest.mark.parametrize(
    ("year", "month", "expiry"),
    [
        (2023, 5, date(2023, 5, 25)),
        (2024, 2, date(2024, 2, 29)),
        (2024, 3, date(2024, 3, 27)),
        (2024, 12, date(2024, 12, 24)),
        (2025, 1, date(2025, 1, 30)),
        (2025, 8, date(2025, 8, 28)),
        (2025, 9, date(2025, 9, 30)),
        (2026, 12, date(2026, 12, 29)),
        (2027, 1, date(2027, 1, 26)),
    ],
)
def test_bank_nifty_expires_on_the_last_weekday_of_its_period(year: int, month: int, expiry: date) -> None:
    calendar = TradingCalendar([MarketDay(day=date(2024, 12, 25), closed=frozenset({"NFO"}))])
    assert expiry_of(MONTHLY, year, month, calendar, "NFO") == expiry


def test_the_worked_example_of_a_holiday_and_the_rollover_window() -> None:
    expiry = expiry_of(MONTHLY, 2027, 1, HOLIDAYS, "NFO")
    assert expiry == date(2027, 1, 25)
    assert not roll_due(expiry, date(2027, 1, 18), BANK_NIFTY, HOLIDAYS)
    assert roll_due(expiry, date(2027, 1, 19), BANK_NIFTY, HOLIDAYS)


def test_gold_expires_on_the_fifth_or_the_trading_day_before() -> None:
    assert expiry_of(ExpiryRule.FIFTH, 2027, 2, PLAIN, "MCX") == date(2027, 2, 5)
    assert expiry_of(ExpiryRule.FIFTH, 2027, 6, PLAIN, "MCX") == date(2027, 6, 4)


def test_copper_expires_on_the_last_day_of_the_month_or_the_trading_day_before() -> None:
    assert expiry_of(ExpiryRule.MONTH_END, 2027, 1, PLAIN, "MCX") == date(2027, 1, 29)
    assert expiry_of(ExpiryRule.MONTH_END, 2028, 2, PLAIN, "MCX") == date(2028, 2, 29)


def test_silver_is_listed_for_five_months_a_year() -> None:
    months = {m for m in range(1, 13) if expiry_of(ExpiryRule.SILVER_MONTHS, 2027, m, PLAIN, "MCX")}
    assert months == {2, 4, 6, 8, 11}
    assert expiry_of(ExpiryRule.SILVER_MONTHS, 2027, 4, PLAIN, "MCX") == date(2027, 4, 30)
    assert expiry_of(ExpiryRule.SILVER_MONTHS, 2027, 2, PLAIN, "MCX") == date(2027, 2, 26)


def test_the_moved_date_decides_which_contract_is_past() -> None:
    friday, saturday = date(2027, 6, 4), date(2027, 6, 5)
    assert listed_expiries(ExpiryRule.FIFTH, friday, 2, PLAIN, "MCX") == (friday, date(2027, 7, 5))
    assert listed_expiries(ExpiryRule.FIFTH, saturday, 1, PLAIN, "MCX") == (date(2027, 7, 5),)


def test_the_list_runs_over_the_end_of_the_year_and_over_months_without_a_contract() -> None:
    assert listed_expiries(ExpiryRule.SILVER_MONTHS, date(2026, 9, 1), 3, PLAIN, "MCX") == (
        date(2026, 11, 30),
        date(2027, 2, 26),
        date(2027, 4, 30),
    )


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.sampled_from(list(ExpiryRule)), st.dates(date(2023, 1, 1), date(2035, 1, 1)))
def test_listed_expiries_rise_are_trading_days_and_never_lie_in_the_past(rule: ExpiryRule, day: date) -> None:
    listed = listed_expiries(rule, day, 4, PLAIN, "MCX")
    assert list(listed) == sorted(set(listed))
    assert all(expiry >= day and PLAIN.trading_day("MCX", expiry) for expiry in listed)


@pytest.mark.parametrize(("days", "due"), [(8, False), (7, False), (6, True), (0, True), (-3, True)])
def test_a_roll_is_due_strictly_below_the_threshold(days: int, due: bool) -> None:
    expiry = date(2027, 3, 30)
    assert roll_due(expiry, expiry - timedelta(days=days), BANK_NIFTY, PLAIN) is due


def test_the_nearness_of_delivery_makes_a_roll_due_before_the_threshold() -> None:
    expiry = date(2027, 2, 5)  # a Friday
    eight_trading_days, seven_trading_days = date(2027, 1, 26), date(2027, 1, 27)
    assert not roll_due(expiry, eight_trading_days, DELIVERED, PLAIN)
    assert roll_due(expiry, seven_trading_days, DELIVERED, PLAIN)
    assert not roll_due(expiry, seven_trading_days, replace(DELIVERED, tender_days=0), PLAIN)


def test_a_holiday_brings_the_roll_before_delivery_forward() -> None:
    expiry, day = date(2027, 2, 5), date(2027, 1, 25)
    assert not roll_due(expiry, day - timedelta(days=3), DELIVERED, HOLIDAYS)
    assert not roll_due(expiry, day, DELIVERED, PLAIN)
    closed_too = HOLIDAYS.with_days([MarketDay(day=date(2027, 1, 27), closed=frozenset({"MCX"}))])
    assert roll_due(expiry, day, DELIVERED, closed_too)


def test_a_new_layer_takes_the_first_contract_that_is_not_due_to_roll() -> None:
    january, february = date(2027, 1, 25), date(2027, 2, 23)
    listed = [february, january, date(2027, 3, 30)]
    assert choose_expiry(listed, date(2027, 1, 18), BANK_NIFTY, HOLIDAYS) == january
    assert choose_expiry(listed, date(2027, 1, 19), BANK_NIFTY, HOLIDAYS) == february
    assert choose_expiry(listed, date(2027, 1, 26), BANK_NIFTY, HOLIDAYS) == february


def test_without_a_contract_far_enough_away_there_is_none_to_take() -> None:
    with pytest.raises(NoExpiry, match="BANK_NIFTY"):
        choose_expiry([date(2027, 1, 25)], date(2027, 1, 19), BANK_NIFTY, HOLIDAYS)
    with pytest.raises(NoExpiry):
        choose_expiry([], date(2027, 1, 19), BANK_NIFTY, HOLIDAYS)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.dates(date(2026, 1, 1), date(2030, 1, 1)), st.sampled_from([BANK_NIFTY, DELIVERED]))
def test_an_entry_never_takes_a_contract_that_would_roll_the_same_day(day: date, instrument: Instrument) -> None:
    listed = listed_expiries(instrument.expiry_rule, day, 4, PLAIN, instrument.exchange)
    chosen = choose_expiry(listed, day, instrument, PLAIN)
    assert not roll_due(chosen, day, instrument, PLAIN)
    assert all(roll_due(sooner, day, instrument, PLAIN) for sooner in listed if sooner < chosen)


def test_the_brokers_list_is_checked_against_the_rule() -> None:
    day, january, february, quarterly = date(2027, 1, 4), date(2027, 1, 25), date(2027, 2, 23), date(2027, 12, 28)
    assert expiry_mismatch([january, february, quarterly], MONTHLY, day, HOLIDAYS, "NFO") is None
    assert expiry_mismatch([date(2026, 12, 29), january, february], MONTHLY, day, HOLIDAYS, "NFO") is None
    assert expiry_mismatch([january, february], MONTHLY, day, PLAIN, "NFO") == ExpiryMismatch(
        missing=(date(2027, 1, 26),), unexpected=(january,)
    )
    assert expiry_mismatch([january], MONTHLY, day, HOLIDAYS, "NFO") == ExpiryMismatch(
        missing=(february,), unexpected=()
    )
