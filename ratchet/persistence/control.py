"""The kill switch, the audited timeline and the order budget: what every send reads before it may go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Boolean, Integer, String, bindparam, case, func, select, text, update

from ratchet.observability import metrics
from ratchet.persistence.events import append
from ratchet.persistence.tables import control, order_budget
from ratchet.persistence.timeline import TIMELINE
from ratchet.persistence.transaction import Transaction
from ratchet.persistence.types import db_now

_READ = {
    name: select(control, timeline.label("timeline")).where(control.c.id == 1) for name, timeline in TIMELINE.items()
}
_SHARE = {name: statement.with_for_update(read=True, of=control) for name, statement in _READ.items()}
_SET = (
    update(control)
    .where(control.c.id == 1)
    .values(
        entries_on=bindparam("new_entries", type_=Boolean),
        exits_on=bindparam("new_exits", type_=Boolean),
        reason=bindparam("new_reason", type_=String),
        actor=bindparam("new_actor", type_=String),
        changed_at=db_now(),
        entries_off_since=case(
            (bindparam("new_entries", type_=Boolean), None),
            else_=func.coalesce(control.c.entries_off_since, db_now()),
        ),
    )
)
_AUDITED = {
    name: update(control).where(control.c.id == 1).values(audited_timeline=timeline)
    for name, timeline in TIMELINE.items()
}
_UNIX = {
    "postgresql": "CAST(floor(extract(epoch FROM clock_timestamp())) AS bigint)",
    "sqlite": "CAST(strftime('%s', 'now') AS INTEGER)",
}
_USED_SECOND = "CASE WHEN order_budget.second = excluded.second THEN order_budget.in_second ELSE 0 END"
_USED_MINUTE = "CASE WHEN order_budget.minute = excluded.minute THEN order_budget.in_minute ELSE 0 END"
_BUDGET = select(order_budget.c.account).where(order_budget.c.account == bindparam("account")).with_for_update()
_TAKE = {
    name: text(
        "INSERT INTO order_budget (account, second, in_second, minute, in_minute)"
        f" SELECT :account, clock.at, :tokens, clock.at / 60, :tokens FROM (SELECT {now} AS at) AS clock"
        " WHERE :tokens <= :per_second AND :tokens <= :per_minute"
        " ON CONFLICT (account) DO UPDATE SET second = excluded.second, minute = excluded.minute,"
        f" in_second = {_USED_SECOND} + :tokens, in_minute = {_USED_MINUTE} + :tokens"
        f" WHERE {_USED_SECOND} + :tokens <= :per_second AND {_USED_MINUTE} + :tokens <= :per_minute"
        " RETURNING account"
    ).bindparams(
        bindparam("account", type_=String),
        bindparam("tokens", type_=Integer),
        bindparam("per_second", type_=Integer),
        bindparam("per_minute", type_=Integer),
    )
    for name, now in _UNIX.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The switches. audited: whether the order books were audited on the server's present timeline."""

    entries_on: bool
    exits_on: bool
    reason: str | None
    actor: str | None
    changed_at: datetime
    entries_off_since: datetime | None
    audited: bool


async def share(tx: Transaction) -> Control:
    """Read the switches under a shared lock: a change waits for us, and nothing is sent after it has committed."""
    return await _control(tx, shared=True)


async def read(tx: Transaction) -> Control:
    """Read the switches as they stand."""
    return await _control(tx, shared=False)


async def _control(tx: Transaction, *, shared: bool) -> Control:
    row = await tx.one((_SHARE if shared else _READ)[tx.dialect])
    return Control(
        entries_on=row["entries_on"],
        exits_on=row["exits_on"],
        reason=row["reason"],
        actor=row["actor"],
        changed_at=row["changed_at"],
        entries_off_since=row["entries_off_since"],
        audited=row["audited_timeline"] == row["timeline"],
    )


async def switch(tx: Transaction, *, entries_on: bool, exits_on: bool, reason: str, actor: str) -> None:
    """Set the switches in one update, and journal it."""
    await tx.count(_SET, new_entries=entries_on, new_exits=exits_on, new_reason=reason[:200], new_actor=actor[:64])
    await append(
        tx,
        stream="control",
        kind="switched",
        actor=actor[:64],
        data={"entries_on": entries_on, "exits_on": exits_on, "reason": reason[:200]},
    )


async def mark_audited(tx: Transaction, *, actor: str) -> None:
    """Open sending on the server's present timeline, after an audit of the order books."""
    await tx.count(_AUDITED[tx.dialect])
    await append(tx, stream="control", kind="audited", actor=actor)


async def take_token(tx: Transaction, account: str, *, per_second: int, per_minute: int, tokens: int = 1) -> bool:
    """Take order-budget tokens of this calendar second and minute; False if there are none left.

    Callers that leave a reserve to exits pass a smaller `per_second`.
    """
    await tx.first(_BUDGET, account=account)  # the clock is read after the wait for the lock, or it may be an old one
    row = await tx.first(
        _TAKE[tx.dialect], account=account, tokens=tokens, per_second=per_second, per_minute=per_minute
    )
    if row is None:
        metrics.ORDER_BUDGET_WAITS.inc()
    return row is not None
