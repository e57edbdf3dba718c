"""Rows that a test puts into the database by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Table, create_engine

from ratchet.persistence.tables import (
    event_log,
    fills,
    holdings,
    incident,
    order_intent,
    portfolio,
    positions,
    signal_log,
)

START = datetime(2027, 1, 12, 15, 30, tzinfo=UTC)


def uuid(number: int) -> UUID:
    """Return a readable id."""
    return UUID(int=number)


def fingerprint(number: int) -> str:
    """Return a fingerprint that tells its number."""
    return f"{number:064x}"


def at(seconds: float) -> datetime:
    """Return an instant."""
    return START + timedelta(seconds=seconds)


def signal_row(number: int, **changes: Any) -> dict[str, Any]:
    """Return a signal."""
    return {
        "account": "main",
        "fingerprint": fingerprint(number),
        "signal_ts": at(number),
        "id": uuid(number),
        "seq": number,
        "strategy": "trend",
        "instrument": "GOLD_MINI",
        "kind": "BASE_ENTRY",
        "layer": "Long_1",
        "source": "webhook",
        "payload": {"type": "BASE_ENTRY", "price": "134600.5"},
        "payload_hash": fingerprint(number),
        "status": "executed",
        "reason": "filled",
        "lease_until": at(number),
        "received_at": at(number),
        "terminal_at": at(number + 1),
        "request_id": f"request-{number}",
        **changes,
    }


def position_row(number: int, **changes: Any) -> dict[str, Any]:
    """Return a position."""
    layer = changes.get("layer", 1)
    return {
        "id": uuid(number),
        "account": "main",
        "strategy": "trend",
        "instrument": "GOLD_MINI",
        "trade_id": uuid(number),
        "layer": layer,
        "status": "open",
        "is_base_position": layer == 1,
        "lots": 2,
        "entry_lots": 2,
        "entry_price": Decimal("134600.5"),
        "signal_price": Decimal("134600"),
        "signal_ts": at(number),
        "initial_stop": Decimal("133900"),
        "stop": Decimal("133950.25"),
        "high": Decimal("134700"),
        "atr": Decimal("760.5"),
        "margin": Decimal("240000"),
        "realised": Decimal("0"),
        "opened_by": fingerprint(number),
        "entry_at": at(number),
        **changes,
    }


def holding_row(position: int, **changes: Any) -> dict[str, Any]:
    """Return what a position holds."""
    return {
        "position_id": uuid(position),
        "symbol": "GOLDM05FEB27FUT",
        "account": "main",
        "exchange": "MCX",
        "quantity": 20,
        "avg_price": Decimal("134600.5"),
        "lot_size": 10,
        "tick": Decimal("1"),
        **changes,
    }


def intent_row(number: int, **changes: Any) -> dict[str, Any]:
    """Return an order intent."""
    return {
        "id": uuid(number),
        "account": "main",
        "instrument": "GOLD_MINI",
        "origin": fingerprint(number),
        "signal_ts": at(number),
        "purpose": "entry",
        "leg": "fut",
        "step": 0,
        "attempt": 1,
        "exchange": "MCX",
        "symbol": "GOLDM05FEB27FUT",
        "product": "NRML",
        "side": "BUY",
        "quantity": 20,
        "lot_size": 10,
        "tick": Decimal("1"),
        "price": Decimal("134610"),
        "state": "FILLED",
        "targets": [],
        "reserved": Decimal("0"),
        "filled": 20,
        "avg_price": Decimal("134600.5"),
        "created_at": at(number),
        **changes,
    }


def fill_row(intent: int, cumulative: int, **changes: Any) -> dict[str, Any]:
    """Return one step of a fill."""
    return {
        "intent_id": uuid(intent),
        "cum_filled": cumulative,
        "account": "main",
        "quantity": 10,
        "price": Decimal("134600.5"),
        "at": at(cumulative),
        **changes,
    }


def event_row(stream: str, seq: int, kind: str, **changes: Any) -> dict[str, Any]:
    """Return an event."""
    return {"stream": stream, "seq": seq, "at": at(seq), "kind": kind, "data": {"n": seq}, "actor": "boot", **changes}


def incident_row(number: int, **changes: Any) -> dict[str, Any]:
    """Return an incident."""
    return {
        "id": uuid(number),
        "account": "main",
        "kind": "orphan",
        "symbol": "GOLDM05FEB27FUT",
        "broker_order_id": f"order-{number}",
        "summary": "an order that no intent owns",
        "opened_at": at(number),
        **changes,
    }


def portfolio_row(account: str, **changes: Any) -> dict[str, Any]:
    """Return an account's money."""
    return {
        "account": account,
        "margin_limit": Decimal("3000000"),
        "reserved": Decimal("0"),
        "used": Decimal("240000.5"),
        "closed_equity": Decimal("5000000"),
        "closed_peak": Decimal("5000000"),
        **changes,
    }


TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (signal_log, positions, holdings, order_intent, fills, event_log, incident, portfolio)
}


def insert(home: Path, **rows: list[dict[str, Any]]) -> None:
    """Insert rows by the name of their table, in the order given."""
    engine = create_engine(f"sqlite:///{home / 'ratchet.db'}")
    with engine.begin() as connection:
        for name, values in rows.items():
            for row in values:
                connection.execute(TABLES[name].insert(), row)
    engine.dispose()


def delete_signal(home: Path, number: int) -> None:
    """Take a signal out again."""
    engine = create_engine(f"sqlite:///{home / 'ratchet.db'}")
    with engine.begin() as connection:
        connection.execute(signal_log.delete().where(signal_log.c.id == uuid(number)))
    engine.dispose()
