"""Rows and book entries for tests of the use cases that compare our books with the broker's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sqlalchemy import select

from ratchet.brokers.audit_book import AuditBook, AuditOrder, OrderCall
from ratchet.domain.identity import AccountId, PositionId
from ratchet.domain.orders import Side
from ratchet.domain.positions import Holding, Layer, LayerStatus
from ratchet.domain.resolving import BookOrder
from ratchet.persistence import incidents, layers
from ratchet.persistence.tables import incident
from ratchet.persistence.transaction import Row, Transaction
from ratchet.runtime import Runtime
from tests.contract.persistence.rows import STAMP

GOLD = "GOLDM05FEB27FUT"
LATER = STAMP + timedelta(days=1)


def a_book_order(order_id: str, **changes: Any) -> BookOrder:
    """Return a filled order for 100 units of gold."""
    order = BookOrder(
        order_id=order_id,
        symbol=GOLD,
        exchange="MCX",
        product="NRML",
        side=Side.BUY,
        quantity=100,
        status="complete",
        price=Decimal(134600),
        average_price=Decimal(134600),
        filled=100,
    )
    return replace(order, **changes)


def an_entry(order: BookOrder, ghost: str | None = None) -> AuditOrder:
    """Return an order as the auditor gets it; ghost: who made it, None where nobody knows."""
    return AuditOrder(account="main", order=order, day=STAMP.date(), ghost=ghost)


def a_book(
    *orders: AuditOrder,
    positions: dict[tuple[str, str, str], int] | None = None,
    calls: tuple[datetime, ...] = (),
) -> AuditBook:
    """Return a book that knows everything, as the simulator's does."""
    return AuditBook(
        read_at=LATER,
        orders=orders,
        positions=positions or {},
        days=None,
        calls=tuple(OrderCall(account="main", at=at) for at in calls),
        knows_ghosts=True,
    )


async def add_layer(tx: Transaction, quantity: int, *, symbol: str = GOLD, instrument: str = "GOLD_MINI") -> Layer:
    """Insert an open layer that holds `quantity` units of one contract, without margin."""
    layer = Layer(
        id=PositionId(uuid4()),
        account=AccountId("main"),
        instrument=instrument,
        trade_id=uuid4(),
        number=1,
        status=LayerStatus.OPEN,
        lots=1,
        entry_lots=1,
        entry_price=Decimal(134600),
        signal_price=Decimal(134600),
        signal_ts=STAMP,
        initial_stop=Decimal(133900),
        stop=Decimal(133900),
        high=Decimal(134600),
        atr=Decimal(760),
    )
    await tx.change(layers.inserting(layer, strategy="trend", opened_by=uuid4().hex, expiry=None))
    holding = Holding(
        exchange="MCX", symbol=symbol, quantity=quantity, avg_price=Decimal(134600), lot_size=100, tick=Decimal("0.05")
    )
    await tx.change(layers.saving_holding(tx, layer, holding))
    return replace(layer, holdings=(holding,))


async def name_order(tx: Transaction, order_id: str) -> None:
    """Open the incident of an order that is not ours."""
    await incidents.open_incident(
        tx, account="main", kind="orphan", summary="found", actor="test", broker_order_id=order_id
    )


async def incidents_of(rt: Runtime, kind: str) -> list[Row]:
    """Return the incidents of a kind, oldest first."""
    async with rt.db.transaction() as tx:
        return await tx.all(select(incident).where(incident.c.kind == kind).order_by(incident.c.opened_at))


def at(hour: int, minute: int, second: int = 0) -> datetime:
    """Return an instant of the day that the rows are of, UTC."""
    return datetime(2027, 1, 11, hour, minute, second, tzinfo=UTC)
