"""Which history of the database we are in: it changes with every promotion of a standby, and with every new database.

The name of the current WAL file tells the timeline at once; the control file lags until a checkpoint. The system
identifier tells a database apart from another one that happens to be on the same timeline.
Source: docs/protocol.md, section 10.
"""

from __future__ import annotations

from sqlalchemy import String, func, literal_column, select

from ratchet.persistence.transaction import Transaction

TIMELINE = {
    "postgresql": func.concat(
        func.substr(func.pg_walfile_name(func.pg_current_wal_lsn()), 1, 8),
        literal_column("'-'"),
        literal_column("(SELECT system_identifier FROM pg_control_system())"),
        type_=String,
    ),
    "sqlite": literal_column("'sqlite'", String),
}
"""The expression of each dialect; at most 32 characters."""

_READ = {dialect: select(expression.label("timeline")) for dialect, expression in TIMELINE.items()}


async def server_timeline(tx: Transaction) -> str:
    """Return the present timeline: `<timeline>-<system identifier>`, or `sqlite`. Fails on a standby."""
    timeline: str = (await tx.one(_READ[tx.dialect]))["timeline"]
    return timeline
