"""Processes: which ones there are, and which are proven to have stopped. Times by the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Float, String, Text, bindparam, delete, func, insert, select, update

from ratchet.persistence.statements import Row
from ratchet.persistence.tables import instance
from ratchet.persistence.transaction import Transaction
from ratchet.persistence.types import db_now

_START = insert(instance).values(
    boot_id=bindparam("boot_id", type_=String),
    role=bindparam("role", type_=String),
    host=bindparam("host", type_=String),
    pod=bindparam("pod", type_=String),
    version=bindparam("version", type_=String),
    lock_file=bindparam("lock_file", type_=Text),
    started_at=db_now(),
    heartbeat_at=db_now(),
)
_MINE = instance.c.boot_id == bindparam("boot_id", type_=String)
_BEAT = update(instance).where(_MINE, instance.c.stopped_at.is_(None)).values(heartbeat_at=db_now())
_STOP = update(instance).where(_MINE).values(stopped_at=func.coalesce(instance.c.stopped_at, db_now()))
_GET = select(instance).where(_MINE)
_SILENT = instance.c.heartbeat_at < db_now(-bindparam("seconds", type_=Float))
_LIST = select(instance).order_by(instance.c.started_at, instance.c.boot_id)
_LIVE = _LIST.where(instance.c.stopped_at.is_(None), ~_SILENT)
_FORGET = delete(instance).where(instance.c.stopped_at.is_not(None), _SILENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One process start. boot_id: new each time. role: `service`, `leader` or `embedded`.

    lock_file: held by the process since its start, so that on the same host its death can be proven.
    stopped_at: set when the process said, or somebody proved, that it runs no more.
    """

    boot_id: str
    role: str
    host: str
    pod: str | None
    version: str
    lock_file: Path | None
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None


async def start(
    tx: Transaction, *, boot_id: str, role: str, host: str, version: str, pod: str | None, lock_file: Path | None
) -> None:
    """Enter this process. Raises UniqueViolation if the boot id is there already."""
    path = None if lock_file is None else str(lock_file)
    await tx.count(_START, boot_id=boot_id, role=role, host=host, pod=pod, version=version, lock_file=path)


async def beat(tx: Transaction, boot_id: str) -> bool:
    """Say that this process is alive; False if it is not entered, or was declared stopped."""
    return await tx.count(_BEAT, boot_id=boot_id) == 1


async def stop(tx: Transaction, boot_id: str) -> None:
    """Record that this process runs no more; the first time counts."""
    await tx.count(_STOP, boot_id=boot_id)


async def get(tx: Transaction, boot_id: str) -> Instance | None:
    """Return one process start."""
    row = await tx.first(_GET, boot_id=boot_id)
    return None if row is None else _instance(row)


async def everyone(tx: Transaction) -> list[Instance]:
    """Return all that are remembered, oldest first."""
    return [_instance(row) for row in await tx.all(_LIST)]


async def live(tx: Transaction, *, within_seconds: float) -> list[Instance]:
    """Return those that have not stopped and were heard of lately, oldest first."""
    return [_instance(row) for row in await tx.all(_LIVE, seconds=within_seconds)]


async def forget(tx: Transaction, *, after_seconds: float) -> int:
    """Remove those that have stopped and were last heard of that long ago; return how many.

    One that fell silent without a proof of its death stays, for whoever resolves what it sent.
    """
    return await tx.count(_FORGET, seconds=after_seconds)


def _instance(row: Row) -> Instance:
    lock_file = row["lock_file"]
    return Instance(**{**row, "lock_file": None if lock_file is None else Path(lock_file)})
