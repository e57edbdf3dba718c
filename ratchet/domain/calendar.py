"""When the exchanges trade: given sessions and holidays first, the exchanges' ordinary hours where nothing is given.

Source: docs/domain.md, section 10. Days are Indian dates, instants are aware.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone

IST = timezone(timedelta(hours=5, minutes=30), "IST")
"""Asia/Kolkata, which has no daylight saving: a fixed offset needs no time-zone files."""

_DAY = timedelta(days=1)
_SEARCH_DAYS = 60
"""No exchange stays closed for so long: a search that goes further has been given wrong days."""

_SUNDAY = 6
_SHARES = frozenset({"NSE", "NFO", "BSE", "BFO"})
_COMMODITIES = frozenset({"MCX", "NCO"})
_SHARES_OPEN, _SHARES_CLOSE = time(9, 15), time(15, 30)
_COMMODITIES_OPEN = time(9, 0)
_CLOSE_IN_NEW_YORK_SUMMER, _CLOSE_IN_NEW_YORK_WINTER = time(23, 30), time(23, 55)


class NoTradingDay(LookupError):
    """No session within the days that were searched."""

    def __init__(self, exchange: str, around: date) -> None:
        super().__init__(f"{exchange} has no session within {_SEARCH_DAYS} days of {around}")


class UnknownExchange(LookupError):
    """An exchange whose ordinary hours nobody wrote down, on a day for which none were given."""

    def __init__(self, exchange: str) -> None:
        super().__init__(f"the hours of {exchange} are not known")


@dataclass(frozen=True, slots=True, order=True)
class Session:
    """A stretch of trading, [opens, closes): the instant of the close is outside. Aware, UTC."""

    opens: datetime
    closes: datetime

    def __contains__(self, at: datetime) -> bool:
        return self.opens <= at < self.closes


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketDay:
    """What the broker says about one day.

    sessions: by exchange. closed: exchanges that do not trade but in the sessions named here.
    complete: an exchange that is not named is closed (a day's timings); else it keeps its ordinary hours (a holiday).
    """

    day: date
    sessions: Mapping[str, tuple[Session, ...]] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()
    complete: bool = False

    def sessions_of(self, exchange: str) -> tuple[Session, ...] | None:
        """Return the exchange's sessions in their order, or None where this day says nothing about it."""
        if exchange in self.sessions:
            return tuple(sorted(self.sessions[exchange]))
        return () if self.complete or exchange in self.closed else None


def ist_day(at: datetime) -> date:
    """Return the Indian date of an aware instant. Raises ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError("an instant must be aware")
    return at.astimezone(IST).date()


def session_on(day: date, opens: time, closes: time) -> Session:
    """Return the session between two Indian wall-clock times of one day."""
    return Session(
        datetime.combine(day, opens, IST).astimezone(UTC), datetime.combine(day, closes, IST).astimezone(UTC)
    )


def new_york_summer(day: date) -> bool:
    """Whether New York observes daylight saving: from March's second Sunday to before November's first."""
    return _sunday(day.year, 3, 2) <= day < _sunday(day.year, 11, 1)


def _sunday(year: int, month: int, which: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(_SUNDAY - first.weekday()) % 7 + 7 * (which - 1))


def ordinary_sessions(exchange: str, day: date) -> tuple[Session, ...]:
    """Return the hours of a day that is no holiday; weekends have none. Raises UnknownExchange."""
    if exchange in _SHARES:
        opens, closes = _SHARES_OPEN, _SHARES_CLOSE
    elif exchange in _COMMODITIES:
        opens = _COMMODITIES_OPEN
        closes = _CLOSE_IN_NEW_YORK_SUMMER if new_york_summer(day) else _CLOSE_IN_NEW_YORK_WINTER
    else:
        raise UnknownExchange(exchange)
    return () if day.weekday() >= 5 else (session_on(day, opens, closes),)


class TradingCalendar:
    """The sessions of each exchange and day. Immutable: `with_days` returns a new one."""

    def __init__(self, days: Iterable[MarketDay] = ()) -> None:
        """Take what the broker gave. Of two entries for one day the complete one counts, else the later."""
        known: dict[date, MarketDay] = {}
        for given in days:
            before = known.get(given.day)
            if before is None or given.complete or not before.complete:
                known[given.day] = given
        self._days = known

    def with_days(self, days: Iterable[MarketDay]) -> TradingCalendar:
        """Return a calendar that knows these days too, as if they had been given after the ones known so far."""
        return TradingCalendar((*self._days.values(), *days))

    def sessions(self, exchange: str, day: date) -> tuple[Session, ...]:
        """Return the sessions of a day in their order; none on a day without trading. Raises UnknownExchange."""
        given = self._days.get(day)
        found = given.sessions_of(exchange) if given else None
        return ordinary_sessions(exchange, day) if found is None else found

    def is_open(self, exchange: str, at: datetime) -> bool:
        """Whether the exchange trades at this instant."""
        return self.session_close(exchange, at) is not None

    def session_close(self, exchange: str, at: datetime) -> datetime | None:
        """Return the close of the session that holds this instant, or None while closed."""
        return next((s.closes for s in self.sessions(exchange, ist_day(at)) if at in s), None)

    def day_close(self, exchange: str, day: date) -> datetime | None:
        """Return the last close of a day, or None on a day without trading."""
        sessions = self.sessions(exchange, day)
        return sessions[-1].closes if sessions else None

    def next_open(self, exchange: str, at: datetime) -> datetime:
        """Return the first instant from `at` on at which the exchange trades: `at` itself while it is open.

        Raises NoTradingDay.
        """
        today = ist_day(at)
        for ahead in range(_SEARCH_DAYS):
            for session in self.sessions(exchange, today + ahead * _DAY):
                if at < session.closes:
                    return max(at.astimezone(UTC), session.opens)
        raise NoTradingDay(exchange, today)

    def trading_day(self, exchange: str, day: date) -> bool:
        """Whether the exchange trades on this day at all, an evening alone included."""
        return bool(self.sessions(exchange, day))

    def trading_day_on_or_before(self, exchange: str, day: date) -> date:
        """Return the day itself if it is a trading day, else the last one before it. Raises NoTradingDay."""
        for back in range(_SEARCH_DAYS):
            if self.trading_day(exchange, day - back * _DAY):
                return day - back * _DAY
        raise NoTradingDay(exchange, day)

    def previous_trading_day(self, exchange: str, day: date) -> date:
        """Return the last trading day before `day`. Raises NoTradingDay."""
        return self.trading_day_on_or_before(exchange, day - _DAY)

    def trading_days_between(self, exchange: str, after: date, until: date) -> int:
        """Count the trading days after `after` up to and including `until`; 0 where `until` is not later."""
        return sum(self.trading_day(exchange, after + n * _DAY) for n in range(1, (until - after).days + 1))


class AlwaysOpen(TradingCalendar):
    """Every exchange trades round the clock, every day: for the simulator and for tests. A session is an Indian day."""

    def with_days(self, days: Iterable[MarketDay]) -> TradingCalendar:
        """Return itself: no holiday closes it."""
        return self

    def sessions(self, exchange: str, day: date) -> tuple[Session, ...]:
        """Return the whole day."""
        opens = datetime.combine(day, time(0), IST).astimezone(UTC)
        return (Session(opens, opens + _DAY),)
