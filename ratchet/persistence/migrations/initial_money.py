"""The first tables: positions, what they hold, and the money that they use and make."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ratchet.persistence.migrations.ddl import one_of
from ratchet.persistence.types import Document, Fixed, UtcDateTime

TABLES = ("ledger", "market", "portfolio", "positions", "fills", "holdings", "pyramiding_state", "rollover")
"""In the order of their making: those that others refer to first."""


def create() -> None:
    """Create them."""
    _ledger()
    _market()
    _portfolio()
    _positions()
    _fills()
    _holdings()
    _pyramiding_state()
    _rollover()


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("amount", Fixed, nullable=False),
        sa.Column("ref", sa.String(length=160), nullable=False),
        sa.Column("position_id", sa.Uuid(), nullable=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("note", sa.String(length=200), nullable=True),
        sa.CheckConstraint("kind IN ('DEPOSIT', 'WITHDRAW', 'TRADING_PNL')", name=op.f("ck_ledger_kind_known")),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_ledger_amount_not_zero")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
        sa.UniqueConstraint("account", "ref", name=op.f("uq_ledger_account_ref")),
    )
    op.create_index("ix_ledger_account_at", "ledger", ["account", "at"], unique=False)


def _market() -> None:
    op.create_table(
        "market",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("instrument", sa.String(length=32), nullable=False),
        sa.Column("bar_ts", UtcDateTime, nullable=True),
        sa.Column("bar_close", Fixed, nullable=True),
        sa.Column("bar_atr", Fixed, nullable=True),
        sa.Column("bar_supertrend", Fixed, nullable=True),
        sa.Column("quote_price", Fixed, nullable=True),
        sa.Column("quote_at", UtcDateTime, nullable=True),
        sa.Column("view", Document, nullable=True),
        sa.Column("view_ts", UtcDateTime, nullable=True),
        sa.PrimaryKeyConstraint("account", "instrument", name=op.f("pk_market")),
    )


def _portfolio() -> None:
    op.create_table(
        "portfolio",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("margin_limit", Fixed, nullable=False),
        sa.Column("reserved", Fixed, nullable=False),
        sa.Column("used", Fixed, nullable=False),
        sa.Column("closed_equity", Fixed, nullable=False),
        sa.Column("closed_peak", Fixed, nullable=False),
        sa.Column("loss_day", sa.Date(), nullable=True),
        sa.Column("day_start_equity", Fixed, nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("reserved >= 0", name=op.f("ck_portfolio_reserved_not_negative")),
        sa.CheckConstraint("used >= 0", name=op.f("ck_portfolio_used_not_negative")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_portfolio")),
    )


def _positions() -> None:
    op.create_table(
        "positions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("instrument", sa.String(length=32), nullable=False),
        sa.Column("trade_id", sa.Uuid(), nullable=False),
        sa.Column("layer", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("is_base_position", sa.Boolean(), nullable=False),
        sa.Column("lots", sa.Integer(), nullable=False),
        sa.Column("entry_lots", sa.Integer(), nullable=False),
        sa.Column("entry_price", Fixed, nullable=False),
        sa.Column("signal_price", Fixed, nullable=False),
        sa.Column("signal_ts", UtcDateTime, nullable=False),
        sa.Column("initial_stop", Fixed, nullable=False),
        sa.Column("stop", Fixed, nullable=False),
        sa.Column("high", Fixed, nullable=False),
        sa.Column("atr", Fixed, nullable=False),
        sa.Column("margin", Fixed, nullable=False),
        sa.Column("realised", Fixed, nullable=False),
        sa.Column("strike", Fixed, nullable=True),
        sa.Column("expiry", sa.Date(), nullable=True),
        sa.Column("opened_by", sa.String(length=64), nullable=False),
        sa.Column("closing_by", sa.String(length=64), nullable=True),
        sa.Column("exit_reason", sa.String(length=200), nullable=True),
        sa.Column("entry_at", UtcDateTime, nullable=False),
        sa.Column("closed_at", UtcDateTime, nullable=True),
        sa.Column("rollover_status", sa.String(length=16), server_default="none", nullable=False),
        sa.Column("rollover_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint(
            one_of("rollover_status", "none pending in_progress rolled failed"),
            name=op.f("ck_positions_rollover_status_known"),
        ),
        sa.CheckConstraint(one_of("status", "closed closing open opening"), name=op.f("ck_positions_status_known")),
        sa.CheckConstraint("(layer = 1) = is_base_position", name=op.f("ck_positions_base_is_layer_one")),
        sa.CheckConstraint("entry_lots >= lots", name=op.f("ck_positions_lots_within_entry")),
        sa.CheckConstraint("layer BETWEEN 1 AND 6", name=op.f("ck_positions_layer_known")),
        sa.CheckConstraint("lots >= 0", name=op.f("ck_positions_lots_not_negative")),
        sa.CheckConstraint("margin >= 0", name=op.f("ck_positions_margin_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_positions")),
    )
    _positions_indexes()


def _positions_indexes() -> None:
    op.create_index("ix_positions_instrument_entry_at", "positions", ["instrument", "entry_at"], unique=False)
    op.create_index("ix_positions_opened_by", "positions", ["account", "opened_by"], unique=False)
    op.create_index("ix_positions_rollover_status_expiry", "positions", ["rollover_status", "expiry"], unique=False)
    op.create_index(
        "uq_positions_live_layer",
        "positions",
        ["account", "instrument", "layer"],
        unique=True,
        postgresql_where=sa.text("status <> 'closed'"),
        sqlite_where=sa.text("status <> 'closed'"),
    )


def _fills() -> None:
    op.create_table(
        "fills",
        sa.Column("intent_id", sa.Uuid(), nullable=False),
        sa.Column("cum_filled", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("price", Fixed, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_fills_quantity_positive")),
        sa.ForeignKeyConstraint(["intent_id"], ["order_intent.id"], name=op.f("fk_fills_intent_id")),
        sa.PrimaryKeyConstraint("intent_id", "cum_filled", name=op.f("pk_fills")),
    )


def _holdings() -> None:
    op.create_table(
        "holdings",
        sa.Column("position_id", sa.Uuid(), nullable=False),
        sa.Column("symbol", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("exchange", sa.String(length=16), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("avg_price", Fixed, nullable=False),
        sa.Column("lot_size", sa.Integer(), nullable=False),
        sa.Column("tick", Fixed, nullable=False),
        sa.ForeignKeyConstraint(["position_id"], ["positions.id"], name=op.f("fk_holdings_position_id")),
        sa.PrimaryKeyConstraint("position_id", "symbol", name=op.f("pk_holdings")),
    )
    op.create_index("ix_holdings_account_symbol", "holdings", ["account", "symbol"], unique=False)


def _pyramiding_state() -> None:
    op.create_table(
        "pyramiding_state",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("instrument", sa.String(length=32), nullable=False),
        sa.Column("trade_id", sa.Uuid(), nullable=True),
        sa.Column("base_position_id", sa.Uuid(), nullable=True),
        sa.Column("last_layer_price", Fixed, nullable=True),
        sa.Column("layers_opened", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["base_position_id"],
            ["positions.id"],
            name=op.f("fk_pyramiding_state_base_position_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("account", "instrument", name=op.f("pk_pyramiding_state")),
    )


def _rollover() -> None:
    op.create_table(
        "rollover",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("position_id", sa.Uuid(), nullable=False),
        sa.Column("old_contract", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", UtcDateTime, nullable=True),
        sa.Column("detail", Document, nullable=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.CheckConstraint(
            one_of("state", "none pending in_progress rolled failed"), name=op.f("ck_rollover_state_known")
        ),
        sa.ForeignKeyConstraint(["position_id"], ["positions.id"], name=op.f("fk_rollover_position_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollover")),
        sa.UniqueConstraint("position_id", "old_contract", name=op.f("uq_rollover_position_id_old_contract")),
    )
