"""market/holidays and market/timings. Both want a key in the body but do not look at it."""

from datetime import date, datetime

from ratchet.brokers.simulator import answers
from ratchet.brokers.simulator.answers import Answer, Body
from ratchet.brokers.simulator.routes.pipeline import Call
from ratchet.brokers.simulator.sessions import (
    COMMODITY_EXCHANGES,
    CURRENCY_EXCHANGES,
    EQUITY_EXCHANGES,
    Holiday,
    Session,
    Sessions,
    holidays,
)
from ratchet.brokers.simulator.settings import IST, SessionRule

_FIRST_YEAR, _LAST_YEAR = 2020, 2050


def market_holidays(call: Call) -> Answer:
    """Return the holidays of a year, none when sessions are always open."""
    asked = call.values["year"]
    year = int(call.number("year")) if asked is not None else call.now.astimezone(IST).year
    if year > _LAST_YEAR:
        return answers.errors_as_object({"year": [f"Must be less than or equal to {_LAST_YEAR}."]})
    always_open = call.simulator.sessions.rule is SessionRule.ALWAYS
    rows = [] if always_open else [_holiday(row) for row in holidays(year)]
    return answers.success(year=year, timezone=IST.key, data=rows)


def market_timings(call: Call) -> Answer:
    """Return the sessions of a date in epoch milliseconds, open exchanges only."""
    try:
        day = date.fromisoformat(call.text("date"))
    except ValueError:
        return answers.errors_as_object({"date": ["Invalid date format. Use YYYY-MM-DD"]})
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        return answers.errors_as_object({"date": [f"Must be between {_FIRST_YEAR} and {_LAST_YEAR}."]})
    return answers.success(data=[_session(row) for row in call.simulator.sessions.on(day)])


def _session(row: Session) -> Body:
    return {"exchange": row.exchange, "start_time": _milliseconds(row.start), "end_time": _milliseconds(row.end)}


def _holiday(row: Holiday) -> Body:
    closed = [*EQUITY_EXCHANGES, *CURRENCY_EXCHANGES]
    if not row.evening_session:
        closed += COMMODITY_EXCHANGES
    still_open = [
        session for session in Sessions(SessionRule.EXCHANGE).on(row.on) if session.exchange in COMMODITY_EXCHANGES
    ]
    return {
        "date": row.on.isoformat(),
        "description": row.description,
        "holiday_type": "TRADING_HOLIDAY",
        "closed_exchanges": closed,
        "open_exchanges": [_session(session) for session in still_open],
    }


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp()) * 1000
