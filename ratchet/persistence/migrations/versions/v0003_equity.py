"""Latencies and trades of a day, and the curve of an account's equity.

Revision ID: 0003
"""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa
from alembic import op

from ratchet.persistence.types import Document, Fixed, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite makes the table anew, so that its text in the schema is that of a table made at once
    recreate: Literal["always", "never"] = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("statistics", recreate=recreate) as batch:
        batch.add_column(sa.Column("latency", Document, nullable=True))
        batch.add_column(sa.Column("trades", Document, nullable=True))
    op.create_table(
        "equity_snapshot",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("closed", Fixed, nullable=False),
        sa.Column("unrealised", Fixed, nullable=False),
        sa.Column("reserved", Fixed, nullable=False),
        sa.Column("used", Fixed, nullable=False),
        sa.Column("peak", Fixed, nullable=False),
        sa.PrimaryKeyConstraint("account", "at", name=op.f("pk_equity_snapshot")),
    )


def downgrade() -> None:
    op.drop_table("equity_snapshot")
    with op.batch_alter_table("statistics") as batch:
        batch.drop_column("trades")
        batch.drop_column("latency")
