"""Statistics of a day, kept by the leader.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ratchet.persistence.types import Document, Fixed, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "statistics",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("instrument", sa.String(length=32), nullable=False),
        sa.Column("signals", Document, nullable=False),
        sa.Column("orders", Document, nullable=False),
        sa.Column("realised", Fixed, server_default="0", nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("account", "day", "instrument", name=op.f("pk_statistics")),
    )
    op.create_index("ix_statistics_day", "statistics", ["day"], unique=False)


def downgrade() -> None:
    op.drop_table("statistics")
