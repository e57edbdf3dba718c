"""Incidents: what a person must look at. An open one closes the slot that it names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import String, Uuid, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ratchet.domain.orders import Intent
from ratchet.observability import metrics
from ratchet.persistence.events import append
from ratchet.persistence.tables import incident as t
from ratchet.persistence.transaction import Row, Transaction
from ratchet.persistence.types import UtcDateTime, db_now

_COLUMNS = ("id account instrument exchange symbol side kind broker_order_id intent_id signal_id summary data").split()
_OPEN = {
    name: make(t)
    .values({column: bindparam(column, type_=t.c[column].type) for column in _COLUMNS} | {"opened_at": db_now()})
    .on_conflict_do_nothing()
    for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_SAME = (
    select(t.c.id)
    .where(
        t.c.account == bindparam("account"),
        t.c.kind == bindparam("kind"),
        t.c.closed_at.is_(None),
        func.coalesce(t.c.symbol, "") == func.coalesce(bindparam("symbol", type_=String), ""),
        func.coalesce(t.c.side, "") == func.coalesce(bindparam("side", type_=String), ""),
        func.coalesce(t.c.instrument, "") == func.coalesce(bindparam("instrument", type_=String), ""),
        t.c.intent_id.is_not_distinct_from(bindparam("intent_id", type_=Uuid)),
        t.c.signal_id.is_not_distinct_from(bindparam("signal_id", type_=Uuid)),
        func.coalesce(t.c.broker_order_id, "") == func.coalesce(bindparam("broker_order_id", type_=String), ""),
    )
    .limit(1)
)
_CLOSE = (
    update(t)
    .where(t.c.id == bindparam("k_id", type_=Uuid), t.c.closed_at.is_(None))
    .values(closed_at=db_now(), closed_by=bindparam("new_by"), decision=bindparam("new_decision", type_=String))
)
_CLOSE_KIND = (
    update(t)
    .where(t.c.kind == bindparam("k_kind", type_=String), t.c.closed_at.is_(None))
    .values(closed_at=db_now(), closed_by=bindparam("new_by"), decision=bindparam("new_decision", type_=String))
)
_CLOSE_ORPHAN = (
    update(t)
    .where(
        t.c.account == bindparam("k_account", type_=String),
        t.c.kind == "orphan",
        t.c.broker_order_id == bindparam("k_order", type_=String),
        t.c.closed_at.is_(None),
    )
    .values(closed_at=db_now(), closed_by=bindparam("new_by"), decision=bindparam("new_decision", type_=String))
)
_OPEN_OF_KIND = select(t.c.account, t.c.instrument).where(t.c.kind == bindparam("kind"), t.c.closed_at.is_(None))
_CLOSE_ALARM = (
    update(t)
    .where(
        t.c.account == bindparam("k_account", type_=String),
        t.c.kind == bindparam("k_kind", type_=String),
        t.c.instrument.is_not_distinct_from(bindparam("k_instrument", type_=String)),
        t.c.closed_at.is_(None),
    )
    .values(
        closed_at=db_now(),
        closed_by=bindparam("new_by", type_=String),
        decision=bindparam("new_decision", type_=String),
    )
)
_SINCE = (
    select(t.c.id)
    .where(
        t.c.account == bindparam("account"),
        t.c.kind == bindparam("kind"),
        t.c.opened_at >= bindparam("since", type_=UtcDateTime),
    )
    .limit(1)
)
_GET = select(t).where(t.c.id == bindparam("id", type_=Uuid))
ALARMS = ("expiry_mismatch", "stale_bars", "stuck_signals")
"""Kinds that tell of a state and close by themselves when it is over; nothing waits for a person's decision."""
_COUNT = select(func.count().label("open")).where(
    t.c.account == bindparam("account"), t.c.closed_at.is_(None), t.c.kind.not_in(ALARMS)
)
_NAMED_ORDERS = select(t.c.broker_order_id).where(t.c.account == bindparam("account"), t.c.broker_order_id.is_not(None))


async def open_incident(
    tx: Transaction,
    *,
    account: str,
    kind: str,
    summary: str,
    actor: str,
    instrument: str | None = None,
    exchange: str | None = None,
    symbol: str | None = None,
    side: str | None = None,
    broker_order_id: str | None = None,
    intent_id: UUID | None = None,
    signal_id: UUID | None = None,
    data: Mapping[str, Any] | None = None,
) -> bool:
    """Open an incident, unless the same one is open already; tells whether it is new."""
    same = await tx.first(
        _SAME,
        account=account,
        kind=kind,
        symbol=symbol,
        side=side,
        instrument=instrument,
        intent_id=intent_id,
        signal_id=signal_id,
        broker_order_id=broker_order_id,
    )
    if same is not None:
        return False
    incident_id = uuid4()
    opened = await tx.count(
        _OPEN[tx.dialect],
        id=incident_id,
        account=account,
        instrument=instrument,
        exchange=exchange,
        symbol=symbol,
        side=side,
        kind=kind,
        broker_order_id=broker_order_id,
        intent_id=intent_id,
        signal_id=signal_id,
        summary=summary[:1000],
        data=None if data is None else dict(data),
    )
    if opened:
        facts = {"kind": kind, "symbol": symbol, "side": side, "order": broker_order_id, "summary": summary[:1000]}
        await append(tx, stream=f"incident:{incident_id}", kind="incident", actor=actor, data=facts)
        tx.after_commit.append(metrics.INCIDENTS.labels(kind).inc)
    return opened == 1


async def open_for_intent(
    tx: Transaction, intent: Intent, *, kind: str, summary: str, actor: str, data: Mapping[str, Any] | None = None
) -> bool:
    """Open an incident that closes the intent's slot."""
    return await open_incident(
        tx,
        account=intent.account,
        kind=kind,
        summary=summary,
        actor=actor,
        instrument=intent.instrument,
        exchange=intent.exchange,
        symbol=intent.symbol,
        side=str(intent.side),
        broker_order_id=intent.broker_order_id,
        intent_id=intent.id,
        data=data,
    )


async def close(tx: Transaction, incident_id: UUID, *, by: str, decision: str) -> bool:
    """Close an open incident; False if it was closed before."""
    return await tx.count(_CLOSE, k_id=incident_id, new_by=by[:64], new_decision=decision[:200]) == 1


async def close_kind(tx: Transaction, kind: str, *, by: str, decision: str) -> int:
    """Close every open incident of a kind; return how many there were."""
    return await tx.count(_CLOSE_KIND, k_kind=kind, new_by=by[:64], new_decision=decision[:200])


async def open_alarms(tx: Transaction, kind: str) -> set[tuple[str, str | None]]:
    """Return the accounts and instruments for which an incident of a kind is open."""
    return {(row["account"], row["instrument"]) for row in await tx.all(_OPEN_OF_KIND, kind=kind)}


async def close_alarm(tx: Transaction, account: str, *, kind: str, instrument: str | None, by: str) -> int:
    """Close an alarm whose cause is gone; return how many there were."""
    return await tx.count(
        _CLOSE_ALARM,
        k_account=account,
        k_kind=kind,
        k_instrument=instrument,
        new_by=by[:64],
        new_decision="its cause is gone",
    )


async def told_since(tx: Transaction, account: str, *, kind: str, since: datetime) -> bool:
    """Whether an incident of a kind was opened since then, be it closed by now or not."""
    return await tx.first(_SINCE, account=account, kind=kind, since=since) is not None


async def close_orphan(tx: Transaction, account: str, order_id: str, *, by: str, decision: str) -> int:
    """Close the incident of an order that has turned out to be ours; return how many there were."""
    return await tx.count(
        _CLOSE_ORPHAN, k_account=account, k_order=order_id, new_by=by[:64], new_decision=decision[:200]
    )


async def get(tx: Transaction, incident_id: UUID) -> Row | None:
    """Return one incident's row."""
    return await tx.first(_GET, id=incident_id)


async def count_open(tx: Transaction, account: str) -> int:
    """Return how many incidents of an account wait for a person."""
    return int((await tx.one(_COUNT, account=account))["open"])


async def named_orders(tx: Transaction, account: str) -> set[str]:
    """Return the broker's order ids that incidents name, open or closed."""
    return {row["broker_order_id"] for row in await tx.all(_NAMED_ORDERS, account=account)}
