"""The door between a duty and the world: nothing of a leader that was followed by another gets through it.

A duty is handed a Runtime from here and has no other. Each of its transactions begins with the fence, so that it is
rolled back whole if the database knows a later leader; each call that changes something at the broker begins with the
right to act. Source: docs/protocol.md, section 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from leader.database_lease import ROLE
from leader.leadership import Leadership
from ratchet.brokers.base import Broker, Holiday, NotSent, Order, Outcome, SessionTimes, Trade
from ratchet.domain.checks import Quote
from ratchet.domain.identity import BrokerOrderId
from ratchet.domain.instruments import Contract
from ratchet.domain.resolving import BookOrder
from ratchet.failpoints import Failpoint, reach
from ratchet.persistence import leases
from ratchet.persistence.leases import FencedOut
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

EVIDENCE = frozenset({"t4", "t3-read-back"})
"""Transactions that a leader may finish however late: what the broker has answered, and that a send was never made.

Both are compared with what is stored of the intent, and are true whoever leads by now. Source: docs/protocol.md,
section 4.
"""


def behind_the_door(rt: Runtime, leadership: Leadership) -> Runtime:
    """Return what a duty is handed: its writes and orders raise FencedOut once somebody else leads."""

    async def fence(name: str, tx: Transaction) -> None:
        await reach(Failpoint.K20)
        if name not in EVIDENCE and not await leases.check_epoch(tx, ROLE, leadership.epoch):
            raise FencedOut(f"the database knows a later leader than epoch {leadership.epoch}")

    return replace(
        rt,
        db=rt.db.behind(fence),
        brokers={account: ActingBroker(broker, leadership) for account, broker in rt.brokers.items()},
    )


class ActingBroker:
    """A broker that is read as ever, and changed only while this process has the right to act."""

    def __init__(self, broker: Broker, leadership: Leadership) -> None:
        self.account = broker.account
        self._broker = broker
        self._leadership = leadership

    async def place(self, order: Order, *, within: float | None = None) -> Outcome:
        """Send one order; past the right to act none, and it is known that none was sent."""
        left = self._leadership.remaining_seconds
        if not left:
            return NotSent("the right to act as the leader has ended")
        return await self._broker.place(order, within=left if within is None else min(within, left))

    async def modify(self, order_id: BrokerOrderId, order: Order) -> None:
        """Change a working order. Raises FencedOut, BrokerError."""
        self._still_acting()
        await self._broker.modify(order_id, order)

    async def cancel(self, order_id: BrokerOrderId) -> None:
        """Ask for a cancel. Raises FencedOut, BrokerError."""
        self._still_acting()
        await self._broker.cancel(order_id)

    async def book(self) -> Sequence[BookOrder]:
        """Return today's orders."""
        return await self._broker.book()

    async def order(self, order_id: BrokerOrderId) -> BookOrder | None:
        """Return one order."""
        return await self._broker.order(order_id)

    async def trades(self) -> Sequence[Trade]:
        """Return today's trades."""
        return await self._broker.trades()

    async def positions(self) -> Mapping[tuple[str, str], int]:
        """Return signed net units by contract."""
        return await self._broker.positions()

    async def quote(self, exchange: str, symbol: str) -> Quote:
        """Return the latest price of a contract."""
        return await self._broker.quote(exchange, symbol)

    async def contract(self, exchange: str, symbol: str) -> Contract:
        """Return what a contract is."""
        return await self._broker.contract(exchange, symbol)

    async def expiries(self, exchange: str, base: str, *, options: bool) -> Sequence[date]:
        """Return the listed expiries."""
        return await self._broker.expiries(exchange, base, options=options)

    async def timings(self, day: date) -> Sequence[SessionTimes]:
        """Return the sessions of one day."""
        return await self._broker.timings(day)

    async def holidays(self, year: int) -> Sequence[Holiday]:
        """Return the year's holidays."""
        return await self._broker.holidays(year)

    async def mode(self) -> str:
        """Return how the server runs."""
        return await self._broker.mode()

    async def funds(self) -> Mapping[str, Decimal]:
        """Return the account's money."""
        return await self._broker.funds()

    async def ping(self) -> str:
        """Return the name of the plugin."""
        return await self._broker.ping()

    def _still_acting(self) -> None:
        if not self._leadership.valid:
            raise FencedOut(f"the right to act under epoch {self._leadership.epoch} has ended")
