"""One simulated server's whole state, and the questions that several routes ask of it."""

import asyncio
from collections.abc import Iterable
from datetime import date, datetime, time

from ratchet.brokers.simulator.book import Book
from ratchet.brokers.simulator.contracts import Instrument, Kind, Master, Underlying
from ratchet.brokers.simulator.faults import FaultScript
from ratchet.brokers.simulator.quotes import Quote, QuoteBoard
from ratchet.brokers.simulator.rate_limits import RateLimits
from ratchet.brokers.simulator.sessions import Sessions, day_start
from ratchet.brokers.simulator.settings import IST, Mode, SessionRule, SimulatorSettings
from ratchet.brokers.simulator.square_off import square_off
from ratchet.brokers.simulator.store import Store

_LOGOUT_TIME = time(3, 0)
"""When broker sessions die and the sandbox's day of books begins."""


class CutConnectionError(Exception):
    """The connection is to be closed without an answer."""


class Simulator:
    """Everything the routes work on. Orders and trades outlive the process; the rest starts from the settings."""

    def __init__(self, settings: SimulatorSettings) -> None:
        """Open the store and list the contracts."""
        self.settings = settings
        self.mode = settings.mode
        self.semi_auto = settings.semi_auto
        self.sessions = Sessions(settings.sessions)
        self.quotes = QuoteBoard()
        self.faults = FaultScript()
        self.limits = RateLimits(settings.monotonic)
        self.stopping = asyncio.Event()
        """Set when the server stops: whoever hangs lets go of its connection."""
        self._logged_in_at: datetime | None = settings.now()
        self._master = Master(self._today(settings.now()))
        self.store = Store(settings.store_path, durable=settings.durable)
        self.book = Book(self.store, self.quote_of)

    def now(self) -> datetime:
        """Return the present instant, with what has become due by it done."""
        now = self.settings.now()
        self.book.settle(now)
        if self.mode is Mode.ANALYZE and self.sessions.rule is not SessionRule.ALWAYS:
            square_off(self.book, now)
        return now

    @property
    def master(self) -> Master:
        """The contracts listed today; a new list after midnight."""
        today = self._today(self.settings.now())
        if today != self._master.today:
            self._master = Master(today)
        return self._master

    def _today(self, now: datetime) -> date:
        return self.settings.today or now.astimezone(IST).date()

    def account_of(self, key: str) -> str | None:
        """Return the account that a key opens (empty: the default one), None for a wrong key."""
        base = self.settings.api_key
        if key == base:
            return ""
        suffix = key.removeprefix(f"{base}-")
        return suffix if suffix and suffix != key else None

    def log_in(self, alive: bool, now: datetime) -> None:
        """Renew or end the broker session."""
        self._logged_in_at = now if alive else None

    def session_alive(self, now: datetime) -> bool:
        """Tell whether the broker session holds at `now`."""
        if self._logged_in_at is None:
            return False
        return not self.settings.daily_logout or self._logged_in_at >= day_start(now, at=_LOGOUT_TIME)

    def books_since(self, now: datetime) -> datetime:
        """Return when the day of the books began: midnight IST at the broker, 03:00 in the sandbox."""
        return day_start(now, at=_LOGOUT_TIME) if self.mode is Mode.ANALYZE else day_start(now)

    def quote_of(self, exchange: str, symbol: str) -> Quote | None:
        """Return the quote of a listed instrument."""
        instrument = self.master.find(exchange, symbol)
        return None if instrument is None else self.quote(instrument)

    def quote(self, instrument: Instrument) -> Quote:
        """Return an instrument's quote."""
        future = None
        if instrument.kind in (Kind.CALL, Kind.PUT) and instrument.expiry is not None:
            future = self.master.future(instrument.underlying, instrument.expiry)
        return self.quotes.quote(instrument, future)

    def reprice(self, underlying: Underlying, now: datetime) -> None:
        """Let resting orders of an underlying fill at its new prices."""
        self.book.reprice(_keys(self.master.of(underlying)), now)

    async def pause(self, seconds: float) -> None:
        """Hang. Raises CutConnectionError if the server stops meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return
        raise CutConnectionError

    def close(self) -> None:
        """Let the store go."""
        self.store.close()


def _keys(instruments: Iterable[Instrument]) -> list[tuple[str, str]]:
    return [(row.exchange, row.symbol) for row in instruments]
