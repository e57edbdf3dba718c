"""The promise of a broker: what may be asked of it, and what each answer proves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from ratchet.domain.checks import Quote
from ratchet.domain.identity import AccountId, BrokerOrderId, IntentId
from ratchet.domain.instruments import Contract
from ratchet.domain.orders import Side
from ratchet.domain.resolving import BookOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A limit order to place. quantity: units; price: on the tick. intent_id travels as `strategy`, for the auditor."""

    intent_id: IntentId
    exchange: str
    symbol: str
    product: str
    side: Side
    quantity: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker took the order; not yet an end."""

    order_id: BrokerOrderId


class RefusalKind(StrEnum):
    """Definite refusals: no order exists."""

    RATE_LIMITED = "rate_limited"
    BROKER = "broker"
    SESSION_GONE = "session_gone"


@dataclass(frozen=True, slots=True)
class Refused:
    """No order exists and none will come of this call."""

    kind: RefusalKind
    text: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte of the request was written."""

    cause: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """An order may exist. answered: the server gave its answer, so nothing is still under way upstream.

    null_order_id: the answer was 200 with no order id, which is a refusal if the book then shows nothing.
    misconfigured: the answer came from the wrong mode or a queue for approval; entries must stop.
    """

    answered: bool
    cause: str
    null_order_id: bool = False
    misconfigured: bool = False


Outcome = Accepted | Refused | NotSent | Ambiguous


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One row of the trade book. quantity: units."""

    order_id: str
    exchange: str
    symbol: str
    side: Side
    quantity: int
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimes:
    """One exchange's session of a day, aware UTC, half-open."""

    exchange: str
    opens: datetime
    closes: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Holiday:
    """A day on which some exchanges are closed, and sessions that are open all the same."""

    day: date
    closed: tuple[str, ...]
    open_sessions: tuple[SessionTimes, ...]


REPEATING_PLUGINS = frozenset({"paytm"})
"""Plugins that repeat a placement by themselves, so that one order can become two. Source: docs/openalgo-api.md."""


class BrokerError(Exception):
    """A read (or a modify or cancel, which may be repeated) gave no usable answer; it proves nothing."""


class BrokerUnreachable(BrokerError):
    """No answer in time, or no connection."""


class SessionGone(BrokerError):
    """403: the key is bad or the broker's login has ended."""


class RateLimited(BrokerError):
    """429."""


class BadAnswer(BrokerError):
    """An answer that cannot be read, or an error in words."""


class WrongMode(BrokerError):
    """The server answered in another mode (live, analyze) than configured."""


class Broker(Protocol):
    """One account at the broker. Every call ends within the configured time-outs.

    Reads raise BrokerError; `place` never does: whatever happens to it is an Outcome. No call is repeated by itself.
    """

    account: AccountId

    async def place(self, order: Order, *, within: float | None = None) -> Outcome:
        """Send one order, once; not at all if its first byte cannot leave `within` so many seconds.

        If the surrounding task is cancelled while bytes may be out, CancelledError is raised.
        """
        ...

    async def modify(self, order_id: BrokerOrderId, order: Order) -> None:
        """Change price or quantity of a working order; may be repeated."""
        ...

    async def cancel(self, order_id: BrokerOrderId) -> None:
        """Ask for a cancel; may be repeated. The order's status is read afterwards in any case."""
        ...

    async def book(self) -> Sequence[BookOrder]:
        """Return today's orders."""
        ...

    async def order(self, order_id: BrokerOrderId) -> BookOrder | None:
        """Return one order, or None if the broker says that it does not know it."""
        ...

    async def trades(self) -> Sequence[Trade]:
        """Return today's trades."""
        ...

    async def positions(self) -> Mapping[tuple[str, str], int]:
        """Return signed net units by (exchange, symbol), NRML only."""
        ...

    async def quote(self, exchange: str, symbol: str) -> Quote:
        """Return the latest price of a contract."""
        ...

    async def contract(self, exchange: str, symbol: str) -> Contract:
        """Return the contract's lot size, tick, freeze quantity and expiry."""
        ...

    async def expiries(self, exchange: str, base: str, *, options: bool) -> Sequence[date]:
        """Return the listed expiries, soonest first."""
        ...

    async def timings(self, day: date) -> Sequence[SessionTimes]:
        """Return the sessions of one day; an exchange that is not named is closed."""
        ...

    async def holidays(self, year: int) -> Sequence[Holiday]:
        """Return the year's holidays."""
        ...

    async def mode(self) -> str:
        """Return `live` or `analyze`, as the server runs."""
        ...

    async def funds(self) -> Mapping[str, Decimal]:
        """Return the account's money by the broker's own names; empty when the broker is unreachable."""
        ...

    async def ping(self) -> str:
        """Return the name of the plugin for the broker, in lower case; "" where the server does not say.

        The server answers with the broker down.
        """
        ...
