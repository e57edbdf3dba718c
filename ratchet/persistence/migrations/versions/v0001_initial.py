"""The first schema: every table, the triggers that guard states and the log, partitions, and the rows of settings.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ratchet.domain import orders, signals
from ratchet.persistence import partitions
from ratchet.persistence.migrations import initial_accept, initial_money, initial_work
from ratchet.persistence.migrations.ddl import allow_only, append_only, dialect, drop_functions, never_less, run

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MONTHS_BACK = 1
MONTHS_AHEAD = 3


def upgrade() -> None:
    run(postgresql=("CREATE SEQUENCE signal_seq",))
    initial_work.create()
    initial_money.create()
    append_only("event_log")
    allow_only("order_intent", "state", orders.NEXT)
    never_less("order_intent", "filled")
    allow_only("signal_log", "status", signals.NEXT)
    if dialect() == "postgresql":
        _partitions()
    run(postgresql=(initial_accept.CREATE,))
    _seed()


def downgrade() -> None:
    run(postgresql=(initial_accept.DROP,))
    for name in (*reversed(initial_money.TABLES), *reversed(initial_work.TABLES)):
        op.drop_table(name)
    drop_functions(
        "event_log_append_only", "order_intent_transition", "order_intent_filled_grows", "signal_log_transition"
    )
    run(postgresql=("DROP SEQUENCE signal_seq",))


def _partitions() -> None:
    today = op.get_bind().execute(sa.text("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")).scalar_one()
    ahead = partitions.months(today, back=MONTHS_BACK, ahead=MONTHS_AHEAD)
    run(postgresql=(partitions.DEFAULT_DDL, *(ddl for month in ahead for ddl in partitions.make_ddl(month))))


def _seed() -> None:
    switches = "INSERT INTO control (id, entries_on, exits_on, actor, changed_at) VALUES (1, true, true, 'migration', "
    fence = "INSERT INTO leader_fence (role, epoch) VALUES ('leader', 0)"
    run(
        postgresql=(f"{switches} clock_timestamp())", fence),
        sqlite=(f"{switches} strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))", fence),
    )
