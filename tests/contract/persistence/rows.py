"""Rows that satisfy every constraint, for tests that need one."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert

from ratchet.domain.orders import IntentState
from ratchet.domain.signals import SignalStatus
from ratchet.persistence.tables import event_log, ledger, order_intent, signal_log
from ratchet.persistence.transaction import Transaction

STAMP = datetime(2027, 1, 11, 5, 0, tzinfo=UTC)

LEDGER = insert(ledger)
EVENT = insert(event_log)
INTENT = insert(order_intent)
SIGNAL = insert(signal_log)


def a_booking(**changes: Any) -> dict[str, Any]:
    """Return a ledger row."""
    row = {
        "id": uuid4(),
        "account": "main",
        "kind": "DEPOSIT",
        "amount": Decimal("5000000.2500"),
        "ref": str(uuid4()),
        "position_id": None,
        "at": STAMP,
        "note": None,
    }
    return row | changes


def an_event(**changes: Any) -> dict[str, Any]:
    """Return an event_log row."""
    row = {"stream": "s", "seq": 1, "at": STAMP, "kind": "k", "data": {"lots": [1, 2]}, "actor": "test"}
    return row | changes


async def add_intent(tx: Transaction, state: IntentState, **changes: Any) -> UUID:
    """Insert an intent in a state and return its id."""
    row: dict[str, Any] = {
        "id": uuid4(),
        "account": "main",
        "instrument": "GOLD_MINI",
        "origin": str(uuid4()),
        "purpose": "entry",
        "leg": "fut",
        "step": 0,
        "attempt": 1,
        "exchange": "MCX",
        "symbol": "GOLDM27FEBFUT",
        "product": "NRML",
        "side": "BUY",
        "quantity": 100,
        "lot_size": 100,
        "tick": Decimal("0.05"),
        "state": str(state),
        "targets": [],
        "reserved": Decimal(0),
        "created_at": STAMP,
    }
    row |= changes
    await tx.count(INTENT, **row)
    return UUID(str(row["id"]))


async def add_signal(tx: Transaction, status: SignalStatus, **changes: Any) -> UUID:
    """Insert a signal in a status and return its id."""
    row: dict[str, Any] = {
        "account": "main",
        "fingerprint": uuid4().hex,
        "signal_ts": STAMP,
        "id": uuid4(),
        "seq": 1,
        "strategy": "default",
        "instrument": "GOLD_MINI",
        "kind": "EXIT",
        "layer": "ALL",
        "source": "webhook",
        "payload": {},
        "payload_hash": "0",
        "status": str(status),
        "lease_until": STAMP,
        "received_at": STAMP,
    }
    row |= changes
    await tx.count(SIGNAL, **row)
    return UUID(str(row["id"]))
