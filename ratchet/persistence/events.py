"""The journal: one row for each thing that happened, in the transaction in which it happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Integer, String, bindparam, func, insert, select

from ratchet.persistence.tables import event_log
from ratchet.persistence.transaction import Transaction, Write
from ratchet.persistence.types import Document, db_now

# The next number of the stream is read and used in one statement; UNIQUE (stream, seq) refuses a race.
_APPEND = insert(event_log).from_select(
    ["stream", "seq", "at", "kind", "data", "actor", "leader_epoch"],
    select(
        bindparam("stream", type_=String),
        func.coalesce(
            select(func.max(event_log.c.seq)).where(event_log.c.stream == bindparam("stream")).scalar_subquery(), 0
        )
        + bindparam("ahead", type_=Integer)
        + 1,
        db_now(),
        bindparam("kind", type_=String),
        bindparam("data", type_=Document),
        bindparam("actor", type_=String),
        bindparam("leader_epoch", type_=Integer),
    ),
)

_DATA = (
    select(event_log.c.data)
    .where(event_log.c.stream == bindparam("stream"), event_log.c.kind == bindparam("kind"))
    .order_by(event_log.c.seq)
)


def signal_stream(account: str, fingerprint: str) -> str:
    """Return the stream of one signal's history."""
    return f"signal:{account}:{fingerprint}"


async def append(
    tx: Transaction,
    *,
    stream: str,
    kind: str,
    actor: str,
    data: Mapping[str, Any] | None = None,
    leader_epoch: int | None = None,
) -> None:
    """Add one event to `stream`. kind: a stable word; data: facts, never a secret; actor: boot id, person or duty."""
    await tx.change(appending(tx, stream=stream, kind=kind, actor=actor, data=data, leader_epoch=leader_epoch))


def appending(
    tx: Transaction,
    *,
    stream: str,
    kind: str,
    actor: str,
    data: Mapping[str, Any] | None = None,
    leader_epoch: int | None = None,
    ahead: int = 0,
) -> Write:
    """Return the change that adds one event. ahead: how many events of the stream are added beside it, before it."""
    facts = None if data is None else dict(data)
    return Write(
        _APPEND,
        {
            "stream": stream,
            "kind": kind,
            "data": facts,
            "actor": actor,
            "leader_epoch": leader_epoch,
            "ahead": ahead if tx.at_once else 0,
        },
    )


async def data_of(tx: Transaction, stream: str, kind: str) -> list[Mapping[str, Any]]:
    """Return the facts of a stream's events of one kind, oldest first."""
    return [row["data"] or {} for row in await tx.all(_DATA, stream=stream, kind=kind)]
