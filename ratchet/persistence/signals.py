"""Signals: how one row ends, what is written down between turns, and what else waits in its lane."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, String, Text, bindparam, func, select, update

from ratchet.domain.calendar import IST
from ratchet.domain.signals import ENTRY_KINDS, OPEN, TRADE_KINDS, SignalStatus, Source
from ratchet.observability import metrics
from ratchet.persistence.claims import Claim, claim_of
from ratchet.persistence.events import append, appending, signal_stream
from ratchet.persistence.tables import signal_log as s
from ratchet.persistence.transaction import Row, Transaction, Write
from ratchet.persistence.types import Document, UtcDateTime, db_now

_KEY = (
    (s.c.account == bindparam("k_account", type_=String))
    & (s.c.fingerprint == bindparam("k_fingerprint", type_=String))
    & (s.c.signal_ts == bindparam("k_stamp", type_=UtcDateTime))
)
_OPEN = s.c.status.in_(sorted(str(status) for status in OPEN))


def _end(sources: frozenset[SignalStatus]) -> Any:
    return (
        update(s)
        .where(_KEY, s.c.status.in_(sorted(str(x) for x in sources)))
        .values(
            status=bindparam("new_status", type_=String),
            reason=bindparam("new_reason", type_=String),
            detail=bindparam("new_detail", type_=Document),
            error=func.coalesce(bindparam("new_error", type_=Text), s.c.error),
            terminal_at=db_now(),
            owner=None,
        )
    )


_END_OPEN = _end(OPEN)
_END_REVIEW = _end(frozenset({SignalStatus.REVIEW}))
_TO_REVIEW = (
    update(s)
    .where(_KEY, s.c.status == str(SignalStatus.PROCESSING))
    .values(
        status=str(SignalStatus.REVIEW),
        reason=bindparam("new_reason", type_=String),
        detail=bindparam("new_detail", type_=Document),
        owner=None,
    )
)
_NOTE = update(s).where(_KEY).values(detail=bindparam("new_detail", type_=Document))
_BY_FINGERPRINT = select(s).where(s.c.account == bindparam("k_account"), s.c.fingerprint == bindparam("k_fingerprint"))
_BY_ID = select(s).where(s.c.id == bindparam("id"))

_ENTRIES_OPEN = (
    select(s.c.status)
    .where(
        s.c.account == bindparam("account"),
        s.c.instrument == bindparam("instrument"),
        s.c.status.in_([*sorted(str(x) for x in OPEN), str(SignalStatus.REVIEW)]),
        s.c.kind.in_(sorted(str(kind) for kind in ENTRY_KINDS)),
        s.c.seq < bindparam("seq", type_=BigInteger),
        s.c.signal_ts <= bindparam("stamp", type_=UtcDateTime),
    )
    .order_by(s.c.status == str(SignalStatus.REVIEW))
    .limit(1)
)
_EOD_TAKEN = (
    select(s.c.id)
    .where(
        s.c.account == bindparam("account"),
        s.c.instrument == bindparam("instrument"),
        s.c.kind == bindparam("kind"),
        s.c.source == str(Source.EXECUTOR),
        s.c.signal_ts >= bindparam("since", type_=UtcDateTime),
        s.c.signal_ts < bindparam("until", type_=UtcDateTime),
    )
    .limit(1)
)
_EXECUTOR_TRADED = (
    select(s.c.id)
    .where(
        s.c.account == bindparam("account"),
        s.c.instrument == bindparam("instrument"),
        s.c.kind.in_(sorted(str(kind) for kind in TRADE_KINDS)),
        s.c.source == str(Source.EXECUTOR),
        s.c.signal_ts == bindparam("stamp", type_=UtcDateTime),
    )
    .limit(1)
)
_WAKE_LANE = (
    update(s)
    .where(
        s.c.account == bindparam("k_account"),
        s.c.instrument == bindparam("k_instrument"),
        _OPEN,
        s.c.owner.is_(None),
        s.c.lease_until > db_now(),
        s.c.kind.in_(sorted(str(kind) for kind in TRADE_KINDS)),
    )
    .values(lease_until=db_now())
)


def key_of(claim: Claim) -> dict[str, Any]:
    """Return the bound key of a claim's row."""
    return {"k_account": claim.account, "k_fingerprint": claim.fingerprint, "k_stamp": claim.stamp}


async def end(
    tx: Transaction,
    claim: Claim,
    *,
    status: SignalStatus,
    reason: str,
    actor: str,
    detail: Mapping[str, Any] | None = None,
    error: str | None = None,
    by_person: bool = False,
) -> bool:
    """End a signal, once; False if it had ended before. by_person: out of review, which automation may not leave."""
    statement = _END_REVIEW if by_person else _END_OPEN
    facts = {**claim.detail, **(detail or {})}
    ended = await tx.count(
        statement,
        **key_of(claim),
        new_status=str(status),
        new_reason=reason,
        new_detail=facts or None,
        new_error=error[:2000] if error else None,
    )
    if ended:
        event = appending(
            tx,
            stream=signal_stream(claim.account, claim.fingerprint),
            kind=f"terminal:{status}",
            actor=actor,
            data={"reason": reason, **(detail or {})},
        )
        lane = {"k_account": claim.account, "k_instrument": claim.instrument}
        await tx.change(event, Write(_WAKE_LANE, lane, exactly_one=False))
        tx.after_commit.append(lambda: _count_end(claim, status, reason))
    return ended == 1


def _count_end(claim: Claim, status: SignalStatus, reason: str) -> None:
    metrics.SIGNALS.labels(str(claim.kind), str(status)).inc()
    if status is not SignalStatus.EXECUTED:
        metrics.SIGNAL_REASONS.labels(reason).inc()


async def to_review(
    tx: Transaction, claim: Claim, *, reason: str, actor: str, detail: Mapping[str, Any] | None = None
) -> bool:
    """Stop automation on this signal: a person chooses its end."""
    moved = await tx.count(
        _TO_REVIEW, **key_of(claim), new_reason=reason, new_detail={**claim.detail, **(detail or {})} or None
    )
    if moved:
        await append(
            tx,
            stream=signal_stream(claim.account, claim.fingerprint),
            kind="review",
            actor=actor,
            data={"reason": reason, **(detail or {})},
        )
    return moved == 1


async def note(tx: Transaction, claim: Claim, facts: Mapping[str, Any]) -> None:
    """Write facts down for later turns."""
    await tx.change(noting(claim, facts))


def noting(claim: Claim, facts: Mapping[str, Any]) -> Write:
    """Return the change that writes facts down for later turns."""
    return Write(_NOTE, {**key_of(claim), "new_detail": {**claim.detail, **facts}})


async def earlier_entry(tx: Transaction, claim: Claim) -> SignalStatus | None:
    """Return the status of an entry that this exit must also close and that may still fill; in review if all are."""
    row = await tx.first(
        _ENTRIES_OPEN, account=claim.account, instrument=claim.instrument, seq=claim.seq, stamp=claim.stamp
    )
    return None if row is None else SignalStatus(row["status"])


async def by_id(tx: Transaction, signal_id: UUID) -> Row | None:
    """Return one signal's row."""
    return await tx.first(_BY_ID, id=signal_id)


async def by_fingerprint(tx: Transaction, account: str, fingerprint: str) -> Claim | None:
    """Return the signal that an intent came from, as a claim with the row's present epoch."""
    row = await tx.first(_BY_FINGERPRINT, k_account=account, k_fingerprint=fingerprint)
    return None if row is None else claim_of(row)


async def end_of_day_taken(tx: Transaction, claim: Claim) -> bool:
    """Whether the executor's own end-of-day action of the same kind exists for the signal's day (D-5)."""
    day = claim.stamp.astimezone(IST).replace(hour=0, minute=0, second=0)
    row = await tx.first(
        _EOD_TAKEN,
        account=claim.account,
        instrument=claim.instrument,
        kind=str(claim.kind),
        since=day,
        until=day + timedelta(days=1),
    )
    return row is not None


async def executor_traded(tx: Transaction, account: str, instrument: str, stamp: datetime) -> bool:
    """Whether the executor itself has made a trade of this stamp, of whatever kind."""
    return await tx.first(_EXECUTOR_TRADED, account=account, instrument=instrument, stamp=stamp) is not None
