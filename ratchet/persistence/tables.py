"""Every table, its keys, and the constraints that carry the proof. Source: docs/protocol.md, section 2."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    column,
    text,
)

from ratchet.domain.orders import IN_FLIGHT, IntentState, Purpose, Side
from ratchet.domain.positions import LayerStatus
from ratchet.domain.signals import OPEN, SignalKind, SignalStatus, Source
from ratchet.persistence.types import Document, Fixed, UtcDateTime, xact_id

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


def _among(name: str, values: Iterable[StrEnum]) -> CheckConstraint:
    """Return the CHECK that a column holds one of an enum's values."""
    return CheckConstraint(column(name).in_(sorted(str(v) for v in values)), name=f"{name}_known")


def _words(values: Iterable[StrEnum]) -> str:
    return ", ".join(f"'{v}'" for v in sorted(str(v) for v in values))


OPEN_SIGNAL = text(f"status IN ({_words(OPEN)})")
EXITS_FIRST = text(f"(kind <> '{SignalKind.EXIT}')")
"""The first key of the order in which signals are claimed."""
IN_FLIGHT_INTENT = text(f"state IN ({_words(IN_FLIGHT)})")
LIVE_POSITION = text("status <> 'closed'")

ROLLOVER_STATUSES = ("none", "pending", "in_progress", "rolled", "failed")
UNFINISHED_ROLL = text("state IN ('pending', 'in_progress', 'failed')")
"""A failed roll is tried again, or ended by the layer's close: until then its layer has no other."""

signal_seq = Sequence("signal_seq", metadata=metadata)
"""Gives `signal_log.seq` on PostgreSQL; SQLite counts under its writer lock."""

signal_log = Table(
    "signal_log",
    metadata,
    Column("account", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("signal_ts", UtcDateTime, nullable=False, comment="the very value that is hashed into the fingerprint"),
    Column("id", Uuid, nullable=False),
    Column("seq", BigInteger, nullable=False, comment="order of acceptance"),
    Column("strategy", String(64), nullable=False),
    Column("instrument", String(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("layer", String(16), comment="Long_1..Long_6 or ALL; null for scouts and bars"),
    Column("source", String(16), nullable=False),
    Column("payload", Document, nullable=False),
    Column("payload_hash", String(64), nullable=False),
    Column("status", String(24), nullable=False),
    Column("reason", String(64)),
    Column("detail", Document, comment="facts of the plan and of the end"),
    Column("owner", String(64)),
    Column("epoch", BigInteger, nullable=False, server_default="0", comment="the claim's fencing token"),
    Column("lease_until", UtcDateTime, nullable=False, comment="a claim's end, or when the next turn is due"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="turns in a row that raised"),
    Column("error", Text),
    Column("request_id", String(64)),
    Column("received_at", UtcDateTime, nullable=False),
    Column("processed_at", UtcDateTime),
    Column("terminal_at", UtcDateTime),
    PrimaryKeyConstraint("account", "fingerprint", "signal_ts"),
    _among("status", SignalStatus),
    _among("kind", SignalKind),
    _among("source", Source),
    Index("ix_signal_log_id", "id"),
    Index("ix_signal_log_processed_at", "processed_at"),
    Index("ix_signal_log_seq", "seq"),
    Index("ix_signal_log_window", "account", "instrument", "kind", "layer", "signal_ts"),
    Index(
        "ix_signal_log_due",
        EXITS_FIRST,
        "seq",
        postgresql_where=OPEN_SIGNAL,
        sqlite_where=OPEN_SIGNAL,
    ),
    Index(
        "ix_signal_log_lane",
        "account",
        "instrument",
        "seq",
        postgresql_where=OPEN_SIGNAL,
        sqlite_where=OPEN_SIGNAL,
    ),
    postgresql_partition_by="RANGE (signal_ts)",
)

dedup_key = Table(
    "dedup_key",
    metadata,
    Column("account", String(64), nullable=False),
    Column("instrument", String(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("layer", String(16), nullable=False),
    PrimaryKeyConstraint("account", "instrument", "kind", "layer"),
)

lane = Table(
    "lane",
    metadata,
    Column("account", String(64), nullable=False),
    Column("instrument", String(32), nullable=False),
    Column("exit_watermark", UtcDateTime, nullable=False),
    Column("hold", String(16), nullable=False, server_default="none"),
    Column("hold_ref", String(64)),
    Column("hold_epoch", BigInteger),
    PrimaryKeyConstraint("account", "instrument"),
    CheckConstraint("hold IN ('none', 'rollover', 'review')", name="hold_known"),
)

order_intent = Table(
    "order_intent",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("instrument", String(32), nullable=False),
    Column("origin", String(64), nullable=False, comment="the signal's fingerprint or the rollover's id"),
    Column("signal_ts", UtcDateTime),
    Column("purpose", String(16), nullable=False),
    Column("leg", String(80), nullable=False),
    Column("step", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("exchange", String(16), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("product", String(8), nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("lot_size", Integer, nullable=False),
    Column("tick", Fixed, nullable=False),
    Column("price", Fixed),
    Column("state", String(16), nullable=False),
    Column("targets", Document, nullable=False),
    Column("reserved", Fixed, nullable=False),
    Column("filled", BigInteger, nullable=False, server_default="0"),
    Column("avg_price", Fixed),
    Column("baseline", Document),
    Column("broker_order_id", String(64)),
    Column("broker_day", Date),
    Column("sender", String(64)),
    Column("epoch", BigInteger),
    Column("created_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("answered_at", UtcDateTime),
    Column("terminal_at", UtcDateTime),
    Column("looks", Integer, nullable=False, server_default="0"),
    Column("good_looks", Document, comment="instants of good book reads that showed no candidate"),
    Column("rungs", Integer, nullable=False, server_default="0"),
    Column("rung_at", UtcDateTime, comment="when the price was last moved"),
    Column("cancel_at", UtcDateTime),
    Column("seen_end", String(16), comment="a terminal status read once, not yet believed"),
    Column("how", String(200), comment="how the state was learnt"),
    UniqueConstraint("account", "origin", "leg", "attempt"),
    UniqueConstraint("account", "broker_day", "broker_order_id"),
    _among("state", IntentState),
    _among("side", Side),
    _among("purpose", Purpose),
    CheckConstraint("quantity > 0", name="quantity_positive"),
    CheckConstraint("filled >= 0 AND filled <= quantity", name="filled_within_quantity"),
    CheckConstraint("reserved >= 0", name="reserved_not_negative"),
    Index(
        "uq_order_intent_slot",
        "account",
        "exchange",
        "symbol",
        "product",
        "side",
        unique=True,
        postgresql_where=IN_FLIGHT_INTENT,
        sqlite_where=IN_FLIGHT_INTENT,
    ),
    Index(
        "ix_order_intent_lane",
        "account",
        "instrument",
        postgresql_where=IN_FLIGHT_INTENT,
        sqlite_where=IN_FLIGHT_INTENT,
    ),
    Index("ix_order_intent_slot_day", "account", "symbol", "side", "broker_day"),
    Index("ix_order_intent_created", "created_at"),
)

portfolio = Table(
    "portfolio",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("margin_limit", Fixed, nullable=False, comment="rupees; guards new reservations only"),
    Column("reserved", Fixed, nullable=False),
    Column("used", Fixed, nullable=False),
    Column("closed_equity", Fixed, nullable=False, comment="running sum of the ledger, moved in its transaction"),
    Column("closed_peak", Fixed, nullable=False),
    Column("loss_day", Date, comment="the IST day that day_start_equity belongs to"),
    Column("day_start_equity", Fixed),
    Column("version", BigInteger, nullable=False, server_default="1"),
    CheckConstraint("reserved >= 0", name="reserved_not_negative"),
    CheckConstraint("used >= 0", name="used_not_negative"),
)

positions = Table(
    "positions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("instrument", String(32), nullable=False),
    Column("trade_id", Uuid, nullable=False),
    Column("layer", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("is_base_position", Boolean, nullable=False),
    Column("lots", Integer, nullable=False),
    Column("entry_lots", Integer, nullable=False),
    Column("entry_price", Fixed, nullable=False),
    Column("signal_price", Fixed, nullable=False),
    Column("signal_ts", UtcDateTime, nullable=False),
    Column("initial_stop", Fixed, nullable=False),
    Column("stop", Fixed, nullable=False),
    Column("high", Fixed, nullable=False),
    Column("atr", Fixed, nullable=False),
    Column("margin", Fixed, nullable=False),
    Column("realised", Fixed, nullable=False),
    Column("strike", Fixed),
    Column("expiry", Date),
    Column("opened_by", String(64), nullable=False, comment="fingerprint of the signal that opened it"),
    Column("closing_by", String(64), comment="fingerprint of the exit that took it"),
    Column("exit_reason", String(200)),
    Column("entry_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("rollover_status", String(16), nullable=False, server_default="none"),
    Column("rollover_count", Integer, nullable=False, server_default="0"),
    Column("version", BigInteger, nullable=False, server_default="1"),
    _among("status", LayerStatus),
    CheckConstraint("lots >= 0", name="lots_not_negative"),
    CheckConstraint("entry_lots >= lots", name="lots_within_entry"),
    CheckConstraint("layer BETWEEN 1 AND 6", name="layer_known"),
    CheckConstraint("margin >= 0", name="margin_not_negative"),
    CheckConstraint("(layer = 1) = is_base_position", name="base_is_layer_one"),
    CheckConstraint(f"rollover_status IN {ROLLOVER_STATUSES}", name="rollover_status_known"),
    Index(
        "uq_positions_live_layer",
        "account",
        "instrument",
        "layer",
        unique=True,
        postgresql_where=LIVE_POSITION,
        sqlite_where=LIVE_POSITION,
    ),
    Index("ix_positions_opened_by", "account", "opened_by"),
    Index("ix_positions_instrument_entry_at", "instrument", "entry_at"),
    Index("ix_positions_rollover_status_expiry", "rollover_status", "expiry"),
)

holdings = Table(
    "holdings",
    metadata,
    Column("position_id", Uuid, ForeignKey("positions.id"), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("account", String(64), nullable=False),
    Column("exchange", String(16), nullable=False),
    Column("quantity", BigInteger, nullable=False, comment="signed units"),
    Column("avg_price", Fixed, nullable=False),
    Column("lot_size", Integer, nullable=False),
    Column("tick", Fixed, nullable=False),
    PrimaryKeyConstraint("position_id", "symbol"),
    Index("ix_holdings_account_symbol", "account", "symbol"),
)

fills = Table(
    "fills",
    metadata,
    Column("intent_id", Uuid, ForeignKey("order_intent.id"), nullable=False),
    Column("cum_filled", BigInteger, nullable=False),
    Column("account", String(64), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("price", Fixed, nullable=False, comment="average price of this step"),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("intent_id", "cum_filled"),
    CheckConstraint("quantity > 0", name="quantity_positive"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("amount", Fixed, nullable=False),
    Column("ref", String(160), nullable=False, comment="what it was booked for; once"),
    Column("position_id", Uuid),
    Column("at", UtcDateTime, nullable=False),
    Column("note", String(200)),
    UniqueConstraint("account", "ref"),
    CheckConstraint("kind IN ('DEPOSIT', 'WITHDRAW', 'TRADING_PNL')", name="kind_known"),
    CheckConstraint("amount <> 0", name="amount_not_zero"),
    Index("ix_ledger_account_at", "account", "at"),
)

pyramiding_state = Table(
    "pyramiding_state",
    metadata,
    Column("account", String(64), nullable=False),
    Column("instrument", String(32), nullable=False),
    Column("trade_id", Uuid),
    Column("base_position_id", Uuid, ForeignKey("positions.id", ondelete="SET NULL")),
    Column("last_layer_price", Fixed),
    Column("layers_opened", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("account", "instrument"),
)

market = Table(
    "market",
    metadata,
    Column("account", String(64), nullable=False),
    Column("instrument", String(32), nullable=False),
    Column("bar_ts", UtcDateTime),
    Column("bar_close", Fixed),
    Column("bar_atr", Fixed),
    Column("bar_supertrend", Fixed),
    Column("quote_price", Fixed),
    Column("quote_at", UtcDateTime),
    Column("view", Document, comment="the latest EOD_MONITOR"),
    Column("view_ts", UtcDateTime),
    PrimaryKeyConstraint("account", "instrument"),
)

rollover = Table(
    "rollover",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("position_id", Uuid, ForeignKey("positions.id"), nullable=False),
    Column("old_contract", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("direction", String(16), nullable=False),
    Column("owner", String(64)),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("lease_until", UtcDateTime),
    Column("detail", Document),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("position_id", "old_contract"),
    CheckConstraint(f"state IN {ROLLOVER_STATUSES}", name="state_known"),
    Index(
        "uq_rollover_unfinished",
        "position_id",
        unique=True,
        postgresql_where=UNFINISHED_ROLL,
        sqlite_where=UNFINISHED_ROLL,
    ),
)

leader_fence = Table(
    "leader_fence",
    metadata,
    Column("role", String(32), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", String(200)),
    Column("lease_uid", String(64)),
    Column("lease_transitions", BigInteger),
    Column("taken_at", UtcDateTime),
)

lease = Table(
    "lease",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("uid", String(64), nullable=False),
    Column("holder", String(200), nullable=False, server_default=""),
    Column("duration_seconds", Integer, nullable=False),
    Column("acquired_at", UtcDateTime),
    Column("renewed_at", UtcDateTime),
    Column("transitions", BigInteger, nullable=False, server_default="0"),
    Column("version", BigInteger, nullable=False, server_default="1"),
)

control = Table(
    "control",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("entries_on", Boolean, nullable=False),
    Column("exits_on", Boolean, nullable=False),
    Column("reason", String(200)),
    Column("actor", String(64)),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("entries_off_since", UtcDateTime),
    Column("audited_timeline", String(32), comment="server timeline whose order books were audited; null = closed"),
    CheckConstraint("id = 1", name="one_row"),
)

order_budget = Table(
    "order_budget",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("second", BigInteger, nullable=False, comment="unix second of the last token"),
    Column("in_second", Integer, nullable=False),
    Column("minute", BigInteger, nullable=False),
    Column("in_minute", Integer, nullable=False),
)

incident = Table(
    "incident",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("instrument", String(32)),
    Column("exchange", String(16)),
    Column("symbol", String(64)),
    Column("side", String(4)),
    Column("kind", String(32), nullable=False),
    Column("broker_order_id", String(64)),
    Column("intent_id", Uuid),
    Column("signal_id", Uuid),
    Column("summary", Text, nullable=False),
    Column("data", Document),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("closed_by", String(64)),
    Column("decision", String(200)),
    Index(
        "uq_incident_orphan",
        "account",
        "broker_order_id",
        unique=True,
        postgresql_where=text("kind = 'orphan'"),
        sqlite_where=text("kind = 'orphan'"),
    ),
    Index(
        "uq_incident_open",
        "account",
        "kind",
        "symbol",
        "side",
        "intent_id",
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
        sqlite_where=text("closed_at IS NULL"),
    ),
    Index("ix_incident_opened_at", "opened_at"),
)

event_log = Table(
    "event_log",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("stream", String(160), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("data", Document),
    Column("actor", String(64), nullable=False),
    Column("leader_epoch", BigInteger),
    Column("xid", BigInteger, server_default=xact_id(), comment="transaction id, for readers that follow"),
    UniqueConstraint("stream", "seq"),
    Index("ix_event_log_at", "at"),
)

instance = Table(
    "instance",
    metadata,
    Column("boot_id", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("host", String(200), nullable=False),
    Column("pod", String(200)),
    Column("version", String(32), nullable=False),
    Column("lock_file", Text, comment="held by the process since its start, so that its death can be proven"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
    Column("stopped_at", UtcDateTime),
)
