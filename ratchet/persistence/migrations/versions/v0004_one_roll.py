"""One unfinished roll of a layer, whatever contract it holds meanwhile.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("state IN ('pending', 'in_progress', 'failed')")


def upgrade() -> None:
    op.create_index(
        "uq_rollover_unfinished",
        "rollover",
        ["position_id"],
        unique=True,
        postgresql_where=_UNFINISHED,
        sqlite_where=_UNFINISHED,
    )


def downgrade() -> None:
    op.drop_index("uq_rollover_unfinished", table_name="rollover")
