"""The first tables: signals, intents, and what guards and records the work on them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from ratchet.persistence.migrations.ddl import one_of
from ratchet.persistence.types import Document, Fixed, UtcDateTime, xact_id

IN_FLIGHT = sa.text("state IN ('PENDING', 'SENDING', 'UNKNOWN', 'WORKING')")
OPEN_SIGNAL = sa.text("status IN ('accepted', 'processing')")


TABLES = (
    "control",
    "dedup_key",
    "event_log",
    "incident",
    "instance",
    "lane",
    "leader_fence",
    "lease",
    "order_budget",
    "order_intent",
    "signal_log",
)
"""In the order of their making: those that others refer to first."""


def create() -> None:
    """Create them."""
    _control()
    _dedup_key()
    _event_log()
    _incident()
    _instance()
    _lane()
    _leader_fence()
    _lease()
    _order_budget()
    _order_intent()
    _signal_log()


def _control() -> None:
    op.create_table(
        "control",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("entries_on", sa.Boolean(), nullable=False),
        sa.Column("exits_on", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("actor", sa.String(length=64), nullable=True),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.Column("entries_off_since", UtcDateTime, nullable=True),
        sa.Column("audited_timeline", sa.String(length=32), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_control_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_control")),
    )


def _dedup_key() -> None:
    op.create_table(
        "dedup_key",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("instrument", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("layer", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("account", "instrument", "kind", "layer", name=op.f("pk_dedup_key")),
    )


def _event_log() -> None:
    op.create_table(
        "event_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("stream", sa.String(length=160), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("data", Document, nullable=True),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("leader_epoch", sa.BigInteger(), nullable=True),
        sa.Column("xid", sa.BigInteger(), server_default=xact_id(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_log")),
        sa.UniqueConstraint("stream", "seq", name=op.f("uq_event_log_stream_seq")),
    )
    op.create_index("ix_event_log_at", "event_log", ["at"], unique=False)


def _incident() -> None:
    op.create_table(
        "incident",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("instrument", sa.String(length=32), nullable=True),
        sa.Column("exchange", sa.String(length=16), nullable=True),
        sa.Column("symbol", sa.String(length=64), nullable=True),
        sa.Column("side", sa.String(length=4), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("broker_order_id", sa.String(length=64), nullable=True),
        sa.Column("intent_id", sa.Uuid(), nullable=True),
        sa.Column("signal_id", sa.Uuid(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("data", Document, nullable=True),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("closed_at", UtcDateTime, nullable=True),
        sa.Column("closed_by", sa.String(length=64), nullable=True),
        sa.Column("decision", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    op.create_index("ix_incident_opened_at", "incident", ["opened_at"], unique=False)
    op.create_index(
        "uq_incident_open",
        "incident",
        ["account", "kind", "symbol", "side", "intent_id"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
        sqlite_where=sa.text("closed_at IS NULL"),
    )
    op.create_index(
        "uq_incident_orphan",
        "incident",
        ["account", "broker_order_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'orphan'"),
        sqlite_where=sa.text("kind = 'orphan'"),
    )


def _instance() -> None:
    op.create_table(
        "instance",
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("pod", sa.String(length=200), nullable=True),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("lock_file", sa.Text(), nullable=True),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("heartbeat_at", UtcDateTime, nullable=False),
        sa.Column("stopped_at", UtcDateTime, nullable=True),
        sa.PrimaryKeyConstraint("boot_id", name=op.f("pk_instance")),
    )


def _lane() -> None:
    op.create_table(
        "lane",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("instrument", sa.String(length=32), nullable=False),
        sa.Column("exit_watermark", UtcDateTime, nullable=False),
        sa.Column("hold", sa.String(length=16), server_default="none", nullable=False),
        sa.Column("hold_ref", sa.String(length=64), nullable=True),
        sa.Column("hold_epoch", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("hold IN ('none', 'rollover', 'review')", name=op.f("ck_lane_hold_known")),
        sa.PrimaryKeyConstraint("account", "instrument", name=op.f("pk_lane")),
    )


def _leader_fence() -> None:
    op.create_table(
        "leader_fence",
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=True),
        sa.Column("lease_uid", sa.String(length=64), nullable=True),
        sa.Column("lease_transitions", sa.BigInteger(), nullable=True),
        sa.Column("taken_at", UtcDateTime, nullable=True),
        sa.PrimaryKeyConstraint("role", name=op.f("pk_leader_fence")),
    )


def _lease() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=200), server_default="", nullable=False),
        sa.Column("duration_seconds", sa.Integer(), nullable=False),
        sa.Column("acquired_at", UtcDateTime, nullable=True),
        sa.Column("renewed_at", UtcDateTime, nullable=True),
        sa.Column("transitions", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )


def _order_budget() -> None:
    op.create_table(
        "order_budget",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("second", sa.BigInteger(), nullable=False),
        sa.Column("in_second", sa.Integer(), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("in_minute", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_order_budget")),
    )


def _order_intent() -> None:
    op.create_table("order_intent", *_intent_columns(), *_intent_constraints())
    _order_intent_indexes()


def _intent_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("instrument", sa.String(length=32), nullable=False),
        sa.Column(
            "origin", sa.String(length=64), nullable=False, comment="the signal's fingerprint or the rollover's id"
        ),
        sa.Column("signal_ts", UtcDateTime, nullable=True),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("leg", sa.String(length=80), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("exchange", sa.String(length=16), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=8), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("lot_size", sa.Integer(), nullable=False),
        sa.Column("tick", Fixed, nullable=False),
        sa.Column("price", Fixed, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("targets", Document, nullable=False),
        sa.Column("reserved", Fixed, nullable=False),
        sa.Column("filled", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("avg_price", Fixed, nullable=True),
        sa.Column("baseline", Document, nullable=True),
        sa.Column("broker_order_id", sa.String(length=64), nullable=True),
        sa.Column("broker_day", sa.Date(), nullable=True),
        sa.Column("sender", sa.String(length=64), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("sent_at", UtcDateTime, nullable=True),
        sa.Column("answered_at", UtcDateTime, nullable=True),
        sa.Column("terminal_at", UtcDateTime, nullable=True),
        sa.Column("looks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("good_looks", Document, nullable=True),
        sa.Column("rungs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rung_at", UtcDateTime, nullable=True),
        sa.Column("cancel_at", UtcDateTime, nullable=True),
        sa.Column("seen_end", sa.String(length=16), nullable=True),
        sa.Column("how", sa.String(length=200), nullable=True),
    ]


def _intent_constraints() -> list[sa.Constraint]:
    return [
        sa.CheckConstraint(
            one_of("purpose", "entry exit roll_close roll_open unwind"), name=op.f("ck_order_intent_purpose_known")
        ),
        sa.CheckConstraint("side IN ('BUY', 'SELL')", name=op.f("ck_order_intent_side_known")),
        sa.CheckConstraint(
            one_of(
                "state",
                "BLOCKED CANCELLED EXPIRED FILLED NOT_PLACED "
                "PARTIAL PENDING REFUSED REJECTED REVIEW "
                "SENDING SUPERSEDED UNKNOWN WORKING",
            ),
            name=op.f("ck_order_intent_state_known"),
        ),
        sa.CheckConstraint("filled >= 0 AND filled <= quantity", name=op.f("ck_order_intent_filled_within_quantity")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_order_intent_quantity_positive")),
        sa.CheckConstraint("reserved >= 0", name=op.f("ck_order_intent_reserved_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_intent")),
        sa.UniqueConstraint(
            "account", "broker_day", "broker_order_id", name=op.f("uq_order_intent_account_broker_day_broker_order_id")
        ),
        sa.UniqueConstraint(
            "account", "origin", "leg", "attempt", name=op.f("uq_order_intent_account_origin_leg_attempt")
        ),
    ]


def _order_intent_indexes() -> None:
    op.create_index("ix_order_intent_created", "order_intent", ["created_at"], unique=False)
    op.create_index(
        "ix_order_intent_lane",
        "order_intent",
        ["account", "instrument"],
        unique=False,
        postgresql_where=IN_FLIGHT,
        sqlite_where=IN_FLIGHT,
    )
    op.create_index(
        "ix_order_intent_slot_day", "order_intent", ["account", "symbol", "side", "broker_day"], unique=False
    )
    op.create_index(
        "uq_order_intent_slot",
        "order_intent",
        ["account", "exchange", "symbol", "product", "side"],
        unique=True,
        postgresql_where=IN_FLIGHT,
        sqlite_where=IN_FLIGHT,
    )


def _signal_log() -> None:
    op.create_table(
        "signal_log",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("signal_ts", UtcDateTime, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("instrument", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("layer", sa.String(length=16), nullable=True),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("payload", Document, nullable=False),
        sa.Column("payload_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("detail", Document, nullable=True),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False, comment="the claim's fencing token"),
        sa.Column("lease_until", UtcDateTime, nullable=False, comment="a claim's end, or when the next turn is due"),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("processed_at", UtcDateTime, nullable=True),
        sa.Column("terminal_at", UtcDateTime, nullable=True),
        sa.CheckConstraint(
            one_of("kind", "BASE_ENTRY EOD_MONITOR EXIT MARKET_DATA PYRAMID"), name=op.f("ck_signal_log_kind_known")
        ),
        sa.CheckConstraint("source IN ('api', 'executor', 'webhook')", name=op.f("ck_signal_log_source_known")),
        sa.CheckConstraint(
            one_of("status", "accepted blocked executed expired failed partially_executed processing rejected review"),
            name=op.f("ck_signal_log_status_known"),
        ),
        sa.PrimaryKeyConstraint("account", "fingerprint", "signal_ts", name=op.f("pk_signal_log")),
        postgresql_partition_by="RANGE (signal_ts)",
    )
    _signal_log_indexes()


def _signal_log_indexes() -> None:
    op.create_index(
        "ix_signal_log_due",
        "signal_log",
        [sa.text("(kind <> 'EXIT')"), "seq"],
        unique=False,
        postgresql_where=OPEN_SIGNAL,
        sqlite_where=OPEN_SIGNAL,
    )
    op.create_index("ix_signal_log_id", "signal_log", ["id"], unique=False)
    op.create_index(
        "ix_signal_log_lane",
        "signal_log",
        ["account", "instrument", "seq"],
        unique=False,
        postgresql_where=OPEN_SIGNAL,
        sqlite_where=OPEN_SIGNAL,
    )
    op.create_index("ix_signal_log_processed_at", "signal_log", ["processed_at"], unique=False)
    op.create_index("ix_signal_log_seq", "signal_log", ["seq"], unique=False)
    op.create_index(
        "ix_signal_log_window", "signal_log", ["account", "instrument", "kind", "layer", "signal_ts"], unique=False
    )
