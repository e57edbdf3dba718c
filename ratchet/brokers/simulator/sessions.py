"""When each exchange is open, and its holidays. Instants are aware; rules are in IST.

Source: docs/domain.md, section 10. The list of dated holidays covers 2026 and the fixed dates of every year; the
movable ones of other years are missing, so a simulated exchange is open on some days on which the real one is closed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ratchet.brokers.simulator.settings import IST, SessionRule

EQUITY_EXCHANGES = ("NSE", "BSE", "NFO", "BFO")
CURRENCY_EXCHANGES = ("CDS", "BCD")
COMMODITY_EXCHANGES = ("MCX",)
EXCHANGES = (*EQUITY_EXCHANGES, *CURRENCY_EXCHANGES, *COMMODITY_EXCHANGES)

_NEW_YORK = ZoneInfo("America/New_York")
_EVENING = time(17, 0)
_MIDNIGHT = time(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One exchange's hours of one date, half-open: at `end` it is closed."""

    exchange: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Holiday:
    """A date on which equity and currency are closed, and commodities closed until 17:00 or all day."""

    on: date
    description: str
    evening_session: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplicitSession:
    """Hours set by hand; without a date they hold for every date."""

    exchange: str
    start: time
    end: time
    on: date | None = None


_FIXED = (
    (1, 26, "Republic Day", False),
    (4, 14, "Dr. Baba Saheb Ambedkar Jayanti", True),
    (5, 1, "Maharashtra Day", True),
    (8, 15, "Independence Day", False),
    (10, 2, "Mahatma Gandhi Jayanti", False),
    (12, 25, "Christmas", False),
)
_DATED = {
    2026: (
        (3, 3, "Holi", True),
        (3, 26, "Shri Ram Navami", True),
        (3, 31, "Shri Mahavir Jayanti", True),
        (4, 3, "Good Friday", False),
        (5, 28, "Bakri Id", True),
        (6, 26, "Muharram", True),
        (9, 14, "Ganesh Chaturthi", True),
        (10, 20, "Dussehra", True),
        (11, 10, "Diwali Balipratipada", True),
        (11, 24, "Guru Nanak Jayanti", True),
    ),
    2027: ((3, 26, "Good Friday", False),),
}


def holidays(year: int) -> list[Holiday]:
    """Return the known holidays of a year in order of date."""
    rows = sorted((*_FIXED, *_DATED.get(year, ())))
    return [Holiday(on=date(year, m, d), description=text, evening_session=evening) for m, d, text, evening in rows]


def trading_day(exchange: str, day: date) -> bool:
    """Tell whether the exchange opens at all on this date."""
    return bool(_exchange_hours(exchange, day))


def previous_trading_day(exchange: str, day: date) -> date:
    """Return `day` if the exchange opens on it, else the nearest earlier date on which it does."""
    while not trading_day(exchange, day):
        day -= timedelta(days=1)
    return day


def commodity_close(day: date) -> time:
    """Return MCX's close: 23:30 while New York has daylight saving time on that date, else 23:55."""
    noon = datetime.combine(day, time(12, 0), tzinfo=_NEW_YORK)
    return time(23, 30) if noon.dst() else time(23, 55)


def day_start(now: datetime, *, at: time = _MIDNIGHT) -> datetime:
    """Return the latest instant not after `now` at which an IST day of books begins."""
    local = now.astimezone(IST)
    start = datetime.combine(local.date(), at, tzinfo=IST)
    return start if start <= local else start - timedelta(days=1)


class Sessions:
    """The hours in force, by rule."""

    def __init__(self, rule: SessionRule, explicit: Sequence[ExplicitSession] = ()) -> None:
        """Start with a rule; `explicit` counts under SessionRule.EXPLICIT only."""
        self.rule = rule
        self.explicit = tuple(explicit)

    def on(self, day: date) -> list[Session]:
        """Return every session of a date, exchanges that stay closed left out."""
        match self.rule:
            case SessionRule.ALWAYS:
                start = datetime.combine(day, _MIDNIGHT, tzinfo=IST)
                return [Session(exchange=name, start=start, end=start + timedelta(days=1)) for name in EXCHANGES]
            case SessionRule.EXPLICIT:
                rows = [row for row in self.explicit if row.on in (None, day)]
                return [_session(row.exchange, day, row.start, row.end) for row in rows]
            case SessionRule.EXCHANGE:
                hours = {name: _exchange_hours(name, day) for name in EXCHANGES}
                return [_session(name, day, *span) for name, span in hours.items() if span]

    def open_at(self, exchange: str, now: datetime) -> bool:
        """Tell whether the exchange trades at `now`."""
        if self.rule is SessionRule.ALWAYS:
            return True
        day = now.astimezone(IST).date()
        return any(row.exchange == exchange and row.start <= now < row.end for row in self.on(day))


def _session(exchange: str, day: date, start: time, end: time) -> Session:
    opens = datetime.combine(day, start, tzinfo=IST)
    closes = datetime.combine(day, end, tzinfo=IST)
    if end == _MIDNIGHT:
        closes += timedelta(days=1)
    return Session(exchange=exchange, start=opens, end=closes)


_BY_YEAR: dict[int, Mapping[date, Holiday]] = {}


def _holiday(day: date) -> Holiday | None:
    known = _BY_YEAR.get(day.year)
    if known is None:
        known = _BY_YEAR[day.year] = {row.on: row for row in holidays(day.year)}
    return known.get(day)


def _exchange_hours(exchange: str, day: date) -> tuple[time, time] | None:
    if day.weekday() >= 5:
        return None
    holiday = _holiday(day)
    if exchange in COMMODITY_EXCHANGES:
        if holiday is not None and not holiday.evening_session:
            return None
        return (_EVENING if holiday else time(9, 0)), commodity_close(day)
    if holiday is not None:
        return None
    return (time(9, 0), time(17, 0)) if exchange in CURRENCY_EXCHANGES else (time(9, 15), time(15, 30))
