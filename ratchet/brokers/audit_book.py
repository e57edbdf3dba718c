"""The broker's book as an auditor holds it against ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from ratchet.domain.resolving import BookOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOrder:
    """One order of one account. ghost: the intent whose request made it, where the broker tells; `` for nobody's.

    order.filled is never None here. day: the broker's day on which it was placed.
    """

    account: str
    order: BookOrder
    day: date
    ghost: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCall:
    """One request to place, modify or cancel an order, when it arrived."""

    account: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditBook:
    """Orders and positions of every account, read after `read_at` began.

    positions: signed net units of what is carried overnight, by (account, exchange, symbol).
    days: the days that the book shows whole; None if it keeps every day.
    calls: None where the broker does not keep them. knows_ghosts: whether orders tell which request made them.
    """

    read_at: datetime
    orders: tuple[AuditOrder, ...]
    positions: Mapping[tuple[str, str, str], int]
    days: frozenset[date] | None
    calls: tuple[OrderCall, ...] | None = None
    knows_ghosts: bool = False

    def covers(self, day: date | None) -> bool:
        """Whether the book shows the orders of a day."""
        return self.days is None or day in self.days
