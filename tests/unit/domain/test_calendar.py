"""Sessions, holidays and trading days."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.calendar import (
    IST,
    AlwaysOpen,
    MarketDay,
    NoTradingDay,
    Session,
    TradingCalendar,
    UnknownExchange,
    new_york_summer,
    session_on,
)

PLAIN = TradingCalendar()
REPUBLIC_DAY = date(2027, 1, 26)
EVENING = session_on(REPUBLIC_DAY, time(17), time(23, 55))


def ist(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """Return the instant of an Indian wall-clock time."""
    return datetime.combine(day, time(hour, minute, second), IST)


def test_a_session_is_half_open() -> None:
    day = date(2027, 1, 11)
    assert not PLAIN.is_open("NFO", ist(day, 9, 14, 59))
    assert PLAIN.is_open("NFO", ist(day, 9, 15))
    assert PLAIN.is_open("NFO", ist(day, 15, 29, 59))
    assert not PLAIN.is_open("NFO", ist(day, 15, 30))


def test_the_worked_example_of_mcx_hours() -> None:
    friday, monday = date(2027, 3, 12), date(2027, 3, 15)
    assert PLAIN.is_open("MCX", ist(friday, 23, 41))
    assert PLAIN.day_close("MCX", friday) == ist(friday, 23, 55)
    assert not PLAIN.is_open("MCX", ist(monday, 23, 41))
    assert PLAIN.day_close("MCX", monday) == ist(monday, 23, 30)


@pytest.mark.parametrize(
    ("day", "summer"),
    [
        (date(2026, 3, 7), False),
        (date(2026, 3, 8), True),
        (date(2026, 10, 31), True),
        (date(2026, 11, 1), False),
        (date(2027, 3, 13), False),
        (date(2027, 3, 14), True),
        (date(2027, 11, 6), True),
        (date(2027, 11, 7), False),
        (date(2027, 1, 1), False),
        (date(2027, 7, 1), True),
    ],
)
def test_new_york_saves_daylight_from_the_second_sunday_of_march_to_the_first_of_november(
    day: date, summer: bool
) -> None:
    assert new_york_summer(day) is summer


def test_weekends_are_closed_and_the_next_opening_is_mondays() -> None:
    friday, saturday, monday = date(2027, 1, 8), date(2027, 1, 9), date(2027, 1, 11)
    assert PLAIN.sessions("NSE", saturday) == ()
    assert PLAIN.session_close("NSE", ist(saturday, 11)) is None
    assert PLAIN.next_open("NSE", ist(friday, 15, 30)) == ist(monday, 9, 15)


def test_while_it_is_open_the_next_instant_of_trading_is_now() -> None:
    now = ist(date(2027, 1, 11), 12)
    assert PLAIN.next_open("NSE", now) == now
    assert PLAIN.session_close("NSE", now) == ist(date(2027, 1, 11), 15, 30)


def test_a_holiday_closes_the_exchanges_it_names_and_leaves_the_others() -> None:
    calendar = TradingCalendar([MarketDay(day=REPUBLIC_DAY, closed=frozenset({"NSE", "NFO"}))])
    assert not calendar.trading_day("NFO", REPUBLIC_DAY)
    assert calendar.trading_day("MCX", REPUBLIC_DAY)
    assert PLAIN.trading_day("NFO", REPUBLIC_DAY)


def test_a_closed_exchange_may_open_in_the_evening_alone() -> None:
    day = MarketDay(day=REPUBLIC_DAY, closed=frozenset({"MCX"}), sessions={"MCX": (EVENING,)})
    calendar = TradingCalendar([day])
    assert calendar.trading_day("MCX", REPUBLIC_DAY)
    assert not calendar.is_open("MCX", ist(REPUBLIC_DAY, 10))
    assert calendar.is_open("MCX", ist(REPUBLIC_DAY, 17))
    assert calendar.next_open("MCX", ist(REPUBLIC_DAY, 10)) == ist(REPUBLIC_DAY, 17)


def test_a_day_may_have_several_sessions() -> None:
    morning = session_on(REPUBLIC_DAY, time(9), time(12))
    calendar = TradingCalendar([MarketDay(day=REPUBLIC_DAY, sessions={"MCX": (EVENING, morning)})])
    assert calendar.sessions("MCX", REPUBLIC_DAY) == (morning, EVENING)
    assert calendar.session_close("MCX", ist(REPUBLIC_DAY, 11)) == morning.closes
    assert calendar.session_close("MCX", ist(REPUBLIC_DAY, 13)) is None
    assert calendar.day_close("MCX", REPUBLIC_DAY) == EVENING.closes


def test_the_timings_of_a_day_are_complete_and_beat_its_holiday_entry() -> None:
    timings = MarketDay(day=REPUBLIC_DAY, sessions={"MCX": (EVENING,)}, complete=True)
    holiday = MarketDay(day=REPUBLIC_DAY, closed=frozenset({"MCX"}))
    for days in ([timings, holiday], [holiday, timings]):
        calendar = TradingCalendar(days)
        assert calendar.sessions("MCX", REPUBLIC_DAY) == (EVENING,)
        assert calendar.sessions("NSE", REPUBLIC_DAY) == ()


def test_a_special_session_opens_a_sunday() -> None:
    sunday = date(2026, 11, 8)
    muhurat = session_on(sunday, time(18), time(19))
    calendar = PLAIN.with_days([MarketDay(day=sunday, sessions={"NSE": (muhurat,)})])
    assert calendar.is_open("NSE", ist(sunday, 18, 30))
    assert not calendar.trading_day("MCX", sunday)
    assert not PLAIN.trading_day("NSE", sunday)


def test_days_given_later_are_added_and_replace_those_of_the_same_date() -> None:
    first = TradingCalendar([MarketDay(day=REPUBLIC_DAY, closed=frozenset({"NSE"}))])
    second = first.with_days([MarketDay(day=date(2027, 1, 27), closed=frozenset({"NSE"}))])
    third = second.with_days([MarketDay(day=REPUBLIC_DAY, closed=frozenset({"MCX"}))])
    assert not second.trading_day("NSE", REPUBLIC_DAY)
    assert not second.trading_day("NSE", date(2027, 1, 27))
    assert third.trading_day("NSE", REPUBLIC_DAY)
    assert not third.trading_day("MCX", REPUBLIC_DAY)


def test_trading_days_are_counted_without_the_first_and_with_the_last() -> None:
    calendar = TradingCalendar([MarketDay(day=REPUBLIC_DAY, closed=frozenset({"NFO"}))])
    friday = date(2027, 1, 22)
    assert calendar.trading_days_between("NFO", friday, friday) == 0
    assert calendar.trading_days_between("NFO", friday, date(2027, 1, 25)) == 1
    assert calendar.trading_days_between("NFO", friday, date(2027, 1, 27)) == 2
    assert calendar.trading_days_between("NFO", friday, date(2027, 1, 20)) == 0
    assert calendar.previous_trading_day("NFO", date(2027, 1, 27)) == date(2027, 1, 25)
    assert calendar.trading_day_on_or_before("NFO", date(2027, 1, 25)) == date(2027, 1, 25)


def test_an_exchange_without_known_hours_trades_only_on_days_that_were_given() -> None:
    with pytest.raises(UnknownExchange):
        PLAIN.is_open("NASDAQ", ist(REPUBLIC_DAY, 12))
    given_day = TradingCalendar([MarketDay(day=REPUBLIC_DAY, sessions={"CDS": (EVENING,)})])
    assert given_day.is_open("CDS", EVENING.opens)


def test_a_search_ends_where_no_session_can_be_found() -> None:
    start = date(2027, 1, 1)
    calendar = TradingCalendar(MarketDay(day=start + timedelta(days=n), complete=True) for n in range(-90, 90))
    with pytest.raises(NoTradingDay):
        calendar.next_open("NSE", ist(start, 12))
    with pytest.raises(NoTradingDay):
        calendar.previous_trading_day("NSE", start)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        PLAIN.is_open("NSE", datetime(2027, 1, 11, 12))


def test_always_open_knows_neither_nights_nor_weekends_nor_holidays() -> None:
    calendar = AlwaysOpen().with_days([MarketDay(day=REPUBLIC_DAY, complete=True)])
    for at in (ist(REPUBLIC_DAY, 3), ist(date(2027, 1, 10), 23, 59, 59), ist(date(2027, 1, 11), 0)):
        assert calendar.is_open("MCX", at)
        assert calendar.next_open("ANY", at) == at
    assert calendar.trading_day("NSE", date(2027, 1, 10))


START = datetime(2025, 1, 1, tzinfo=UTC)
instants = st.timedeltas(timedelta(0), timedelta(days=1800)).map(lambda after: START + after)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(instants, st.sampled_from(["NSE", "MCX"]))
def test_the_next_opening_is_open_and_nothing_before_it_is(at: datetime, exchange: str) -> None:
    opens = PLAIN.next_open(exchange, at)
    assert opens >= at
    assert PLAIN.is_open(exchange, opens)
    if opens > at:
        assert not PLAIN.is_open(exchange, at)
        assert not PLAIN.is_open(exchange, opens - timedelta(microseconds=1))


def test_sessions_sort_by_their_opening() -> None:
    assert Session(EVENING.opens, EVENING.closes) == EVENING
    assert session_on(REPUBLIC_DAY, time(9), time(12)) < EVENING
