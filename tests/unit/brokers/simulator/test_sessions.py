from datetime import UTC, date, datetime, time

import pytest

from ratchet.brokers.simulator.sessions import ExplicitSession, Sessions, day_start
from ratchet.brokers.simulator.settings import IST, SessionRule


def hours(sessions: Sessions, exchange: str, day: date) -> list[str]:
    found = [row for row in sessions.on(day) if row.exchange == exchange]
    return [f"{row.start.astimezone(IST):%H:%M}-{row.end.astimezone(IST):%H:%M}" for row in found]


@pytest.mark.parametrize(
    ("exchange", "day", "expected"),
    [
        ("NFO", date(2027, 1, 11), ["09:15-15:30"]),
        ("MCX", date(2027, 3, 12), ["09:00-23:55"]),
        ("MCX", date(2027, 3, 15), ["09:00-23:30"]),
        ("MCX", date(2027, 1, 16), []),
        ("NFO", date(2026, 11, 24), []),
        ("MCX", date(2026, 11, 24), ["17:00-23:55"]),
        ("MCX", date(2027, 1, 26), []),
    ],
)
def test_exchange_hours_follow_weekends_holidays_and_new_yorks_clock(
    exchange: str, day: date, expected: list[str]
) -> None:
    assert hours(Sessions(SessionRule.EXCHANGE), exchange, day) == expected


def test_always_means_midnight_to_midnight_even_on_a_sunday() -> None:
    rows = Sessions(SessionRule.ALWAYS).on(date(2027, 1, 17))
    assert {row.exchange for row in rows} >= {"NFO", "MCX"}
    assert all((row.end - row.start).total_seconds() == 86400 and row.start.hour == 0 for row in rows)


def test_the_close_itself_is_outside() -> None:
    sessions = Sessions(SessionRule.EXCHANGE)
    assert sessions.open_at("NFO", datetime(2027, 1, 11, 9, 59, 59, tzinfo=UTC))
    assert not sessions.open_at("NFO", datetime(2027, 1, 11, 10, 0, tzinfo=UTC))


def test_explicit_hours_hold_for_their_date_or_for_all() -> None:
    every_day = ExplicitSession(exchange="MCX", start=time(10), end=time(11))
    one_day = ExplicitSession(exchange="NFO", start=time(12), end=time(0), on=date(2027, 1, 11))
    sessions = Sessions(SessionRule.EXPLICIT, [every_day, one_day])
    assert hours(sessions, "MCX", date(2027, 1, 17)) == ["10:00-11:00"]
    assert hours(sessions, "NFO", date(2027, 1, 11)) == ["12:00-00:00"]
    assert hours(sessions, "NFO", date(2027, 1, 12)) == []


def test_a_day_of_books_begins_at_its_hour_in_india() -> None:
    before, after = datetime(2027, 1, 10, 21, 29, tzinfo=UTC), datetime(2027, 1, 10, 21, 30, tzinfo=UTC)
    assert day_start(before, at=time(3)) == datetime(2027, 1, 10, 3, tzinfo=IST)
    assert day_start(after, at=time(3)) == datetime(2027, 1, 11, 3, tzinfo=IST)
