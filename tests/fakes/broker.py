"""A broker in memory, for code that reads its books: what it shows is what the test has put there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from ratchet.brokers.base import (
    BadAnswer,
    BrokerError,
    Holiday,
    NotSent,
    Order,
    Outcome,
    SessionTimes,
    Trade,
)
from ratchet.domain.checks import Quote
from ratchet.domain.identity import AccountId, BrokerOrderId
from ratchet.domain.instruments import Contract
from ratchet.domain.resolving import BookOrder


class MemoryBroker:
    """trouble: raised by every read. held: what `positions` answers; a list gives one answer after the other."""

    def __init__(self, account: str = "main") -> None:
        self.account = AccountId(account)
        self.trouble: BrokerError | None = None
        self.server_mode = "live"
        self.plugin = "zerodha"
        self.orders: list[BookOrder] = []
        self.trade_rows: list[Trade] = []
        self.held: list[dict[tuple[str, str], int]] = [{}]
        self.sessions: list[SessionTimes] = []
        self.asked_positions = 0

    def _reached(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    async def place(self, order: Order, *, within: float | None = None) -> Outcome:
        return NotSent("nothing is placed here")

    async def modify(self, order_id: BrokerOrderId, order: Order) -> None:
        raise BadAnswer("nothing is changed here")

    async def cancel(self, order_id: BrokerOrderId) -> None:
        raise BadAnswer("nothing is changed here")

    async def book(self) -> Sequence[BookOrder]:
        self._reached()
        return list(self.orders)

    async def order(self, order_id: BrokerOrderId) -> BookOrder | None:
        self._reached()
        return next((order for order in self.orders if order.order_id == order_id), None)

    async def trades(self) -> Sequence[Trade]:
        self._reached()
        return list(self.trade_rows)

    async def positions(self) -> Mapping[tuple[str, str], int]:
        self._reached()
        answer = self.held[min(self.asked_positions, len(self.held) - 1)]
        self.asked_positions += 1
        return answer

    async def quote(self, exchange: str, symbol: str) -> Quote:
        raise BadAnswer("no quotes here")

    async def contract(self, exchange: str, symbol: str) -> Contract:
        raise BadAnswer("no contracts here")

    async def expiries(self, exchange: str, base: str, *, options: bool) -> Sequence[date]:
        return []

    async def timings(self, day: date) -> Sequence[SessionTimes]:
        self._reached()
        return list(self.sessions)

    async def holidays(self, year: int) -> Sequence[Holiday]:
        return []

    async def mode(self) -> str:
        self._reached()
        return self.server_mode

    async def funds(self) -> Mapping[str, Decimal]:
        return {}

    async def ping(self) -> str:
        self._reached()
        return self.plugin
