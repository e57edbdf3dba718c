"""Tables of what is reported and decides nothing: a day's figures, and the curve of an account's equity."""

from __future__ import annotations

from sqlalchemy import Column, Date, Index, PrimaryKeyConstraint, String, Table

from ratchet.persistence.tables import metadata as metadata
from ratchet.persistence.types import Document, Fixed, UtcDateTime

statistics = Table(
    "statistics",
    metadata,
    Column("account", String(64), nullable=False),
    Column("day", Date, nullable=False, comment="IST day"),
    Column("instrument", String(32), nullable=False),
    Column("signals", Document, nullable=False, comment="how many by outcome"),
    Column("orders", Document, nullable=False, comment="how many by end"),
    Column("realised", Fixed, nullable=False, server_default="0", comment="rupees booked that day"),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("latency", Document, comment="milliseconds from the durable row to the end: p50, p95, p99"),
    Column("trades", Document, comment="layers closed that day: won, lost, win_ratio"),
    PrimaryKeyConstraint("account", "day", "instrument"),
    Index("ix_statistics_day", "day"),
)

equity_snapshot = Table(
    "equity_snapshot",
    metadata,
    Column("account", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("closed", Fixed, nullable=False, comment="rupees; the sum of the ledger"),
    Column("unrealised", Fixed, nullable=False),
    Column("reserved", Fixed, nullable=False, comment="margin of orders on their way"),
    Column("used", Fixed, nullable=False, comment="margin of what is open"),
    Column("peak", Fixed, nullable=False, comment="highest closed equity so far"),
    PrimaryKeyConstraint("account", "at"),
)
