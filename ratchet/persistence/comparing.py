"""What the reconciler reads to compare our books with the broker's: sums of holdings, and what is still moving."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Float, String, bindparam, func, or_, select

from ratchet.domain.orders import IN_FLIGHT, IntentState
from ratchet.persistence.tables import holdings, incident, order_intent
from ratchet.persistence.transaction import Transaction
from ratchet.persistence.types import db_now

MISMATCH = "mismatch"
"""The kind of incident that says that a contract's quantity here differs from the broker's."""

_ACCOUNT = bindparam("account", type_=String)
_HELD = (
    select(holdings.c.exchange, holdings.c.symbol, func.sum(holdings.c.quantity).label("quantity"))
    .where(holdings.c.account == _ACCOUNT, holdings.c.quantity != 0)
    .group_by(holdings.c.exchange, holdings.c.symbol)
)
_MOVING = (
    select(order_intent.c.exchange, order_intent.c.symbol)
    .where(
        order_intent.c.account == _ACCOUNT,
        or_(
            order_intent.c.state.in_(sorted(str(state) for state in IN_FLIGHT | {IntentState.REVIEW})),
            order_intent.c.terminal_at > db_now(-bindparam("settled_seconds", type_=Float)),
        ),
    )
    .distinct()
)
_MISMATCHES = select(incident.c.id, incident.c.exchange, incident.c.symbol).where(
    incident.c.account == _ACCOUNT, incident.c.kind == MISMATCH, incident.c.closed_at.is_(None)
)


async def held(tx: Transaction, account: str) -> dict[tuple[str, str], int]:
    """Return the signed net units that the layers of an account hold, by (exchange, symbol)."""
    rows = await tx.all(_HELD, account=account)
    return {(row["exchange"], row["symbol"]): int(row["quantity"]) for row in rows}


async def moving(tx: Transaction, account: str, *, settled_seconds: float) -> set[tuple[str, str]]:
    """Return the contracts whose quantity cannot be compared now.

    They have an order in flight or with a person, or one that ended less than `settled_seconds` ago, which the broker's
    position may not show yet.
    """
    rows = await tx.all(_MOVING, account=account, settled_seconds=settled_seconds)
    return {(row["exchange"], row["symbol"]) for row in rows}


async def open_mismatches(tx: Transaction, account: str) -> Mapping[tuple[str, str], UUID]:
    """Return the open mismatch incidents of an account, by (exchange, symbol)."""
    rows = await tx.all(_MISMATCHES, account=account)
    return {(row["exchange"], row["symbol"]): row["id"] for row in rows}
