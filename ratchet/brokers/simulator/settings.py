"""How a simulator is set up. All of it is fixed at start except what the admin endpoints change."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

from ratchet.clock import SystemClock

IST = ZoneInfo("Asia/Kolkata")
"""The exchanges' own time; every string and every trading day of the API is in it."""

MEMORY = ":memory:"
"""A store path that keeps nothing: for measuring the rest."""

_MACHINE = SystemClock()


class Mode(StrEnum):
    """Whether orders reach the (simulated) broker or OpenAlgo's own sandbox."""

    LIVE = "live"
    ANALYZE = "analyze"


class SessionRule(StrEnum):
    """When the exchanges are open."""

    ALWAYS = "always"
    EXCHANGE = "exchange"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """Settings of one simulated server."""

    api_key: str = "simulator-key"
    """The default account's key; `<api_key>-<suffix>` opens the separate account `<suffix>`."""
    store_path: Path | str = MEMORY
    """SQLite file of orders and trades; its folder must exist. `:memory:` keeps nothing."""
    durable: bool = True
    """True: each answer waits for the disk (synchronous=FULL). False: synchronous=OFF, for measurements."""
    mode: Mode = Mode.LIVE
    sessions: SessionRule = SessionRule.ALWAYS
    rate_limits: bool = True
    orders_per_second: int = 10
    """Limit of each of placeorder, modifyorder, cancelorder, by account and caller's address."""
    others_per_second: int = 50
    """Limit of each other endpoint, by account and caller's address."""
    today: date | None = None
    """The date (IST) from which contracts are listed; None: the date of `now`, followed past midnight."""
    opening_cash: Decimal = Decimal("10000000")
    """Rupees each account starts with."""
    daily_logout: bool = False
    """True: the broker session dies at 03:00 IST each day until it is renewed by the admin endpoint."""
    semi_auto: bool = False
    """True: placements queue for a person's approval and no order is made."""
    broker_name: str = "zerodha"
    now: Callable[[], datetime] = _MACHINE.now
    """The present instant, aware."""
    monotonic: Callable[[], float] = _MACHINE.monotonic
    """Seconds for the rate limits' moving windows."""
