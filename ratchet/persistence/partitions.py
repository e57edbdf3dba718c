"""Monthly partitions of signal_log on PostgreSQL: made ahead, and dropped whole once nothing can need them.

The partition key is the hashed stamp of the signal, so one fingerprint has one partition, and forgetting a month cannot
make a signal new again: a stamp that old is ended by the accept. Source: docs/protocol.md, section 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime

from sqlalchemy import MetaData, bindparam, delete, text

from ratchet.domain.signals import TERMINAL
from ratchet.persistence.tables import signal_log
from ratchet.persistence.transaction import Transaction
from ratchet.persistence.types import UtcDateTime

DEFAULT_DDL = "CREATE TABLE signal_log_default PARTITION OF signal_log DEFAULT"
"""Catches stamps of months that have no partition."""

_NAME = re.compile(r"signal_log_(\d{4})_(\d{2})")
_ENDS = sorted(str(status) for status in TERMINAL)
_NAMES = text(
    "SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'signal_log'::regclass ORDER BY 1"
)
_default = signal_log.to_metadata(MetaData(), name="signal_log_default")
_FORGET_STRAYS = delete(_default).where(
    _default.c.signal_ts < bindparam("before", type_=UtcDateTime), _default.c.status.in_(_ENDS)
)
_FORGET = delete(signal_log).where(
    signal_log.c.signal_ts < bindparam("before", type_=UtcDateTime), signal_log.c.status.in_(_ENDS)
)


def months(today: date, *, back: int, ahead: int) -> list[date]:
    """Return the first days of the months around `today`."""
    count = today.year * 12 + today.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(count - back, count + ahead + 1)]


def name_of(month: date) -> str:
    """Return the name of a month's partition."""
    return f"signal_log_{month:%Y_%m}"


def make_ddl(month: date) -> tuple[str, ...]:
    """Return the statements that make a month's partition, with the rows of it that the DEFAULT one has caught.

    Attached rather than created in place, which would lock out every reader of signal_log.
    """
    name, start, end = name_of(month), _instant(month), _instant(_next(month))
    columns = ", ".join(signal_log.c.keys())
    within = f"signal_ts >= '{start}' AND signal_ts < '{end}'"
    return (
        f"CREATE TABLE {name} (LIKE signal_log INCLUDING ALL)",
        f"WITH caught AS (DELETE FROM signal_log_default WHERE {within} RETURNING {columns})"
        f" INSERT INTO {name} ({columns}) SELECT {columns} FROM caught",
        f"ALTER TABLE signal_log ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')",
    )


async def ensure_partitions(tx: Transaction, until: datetime) -> list[str]:
    """Make the partitions from the present month to that of `until`; return the names of the new ones.

    On SQLite there are none, and nothing is done.
    """
    if tx.dialect == "sqlite":
        return []
    today = (await tx.now()).date()
    ahead = (until.year - today.year) * 12 + until.month - today.month
    existing = await _names(tx)
    made = []
    for month in months(today, back=0, ahead=ahead):
        if name_of(month) not in existing:
            for statement in make_ddl(month):
                await tx.count(text(statement))
            made.append(name_of(month))
    return made


async def drop_expired(tx: Transaction, before: datetime) -> list[str]:
    """Drop every partition that ends at or before `before` and holds only terminal signals; return their names.

    Strays in the DEFAULT partition, and on SQLite all rows, are deleted one by one under the same rule.
    """
    dropped = []
    if tx.dialect == "postgresql":
        for name, month in _monthly(await _names(tx)):
            if datetime(_next(month).year, _next(month).month, 1, tzinfo=UTC) <= before and await _all_ended(tx, name):
                await tx.count(text(f"DROP TABLE {name}"))
                dropped.append(name)
        await tx.count(_FORGET_STRAYS, before=before)
    else:
        await tx.count(_FORGET, before=before)
    return dropped


async def _all_ended(tx: Transaction, name: str) -> bool:
    await tx.count(text(f"LOCK TABLE {name} IN SHARE MODE"))  # no row may come between the look and the drop
    ends = ", ".join(f"'{status}'" for status in _ENDS)
    row = await tx.one(text(f"SELECT EXISTS (SELECT 1 FROM {name} WHERE status NOT IN ({ends})) AS open"))
    return not row["open"]


async def _names(tx: Transaction) -> set[str]:
    return {row["name"] for row in await tx.all(_NAMES)}


def _monthly(names: set[str]) -> Iterator[tuple[str, date]]:
    for name in sorted(names):
        found = _NAME.fullmatch(name)
        if found:
            yield name, date(int(found[1]), int(found[2]), 1)


def _next(month: date) -> date:
    return months(month, back=0, ahead=1)[1]


def _instant(day: date) -> str:
    return f"{day.isoformat()} 00:00:00+00"
