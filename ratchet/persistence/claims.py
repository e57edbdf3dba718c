"""Claims: a worker's timed hold on an open signal, fenced by an epoch that grows with each claim."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import Float, Integer, String, bindparam, func, select, update

from ratchet.broken import Broken, is_broken
from ratchet.domain.identity import AccountId, Fingerprint, SignalId, StrategyId
from ratchet.domain.orders import Intent
from ratchet.domain.signals import OPEN, SignalKind, SignalStatus, Source
from ratchet.persistence.database import Database
from ratchet.persistence.intents import intent_of
from ratchet.persistence.lanes import Lane, lane_of
from ratchet.persistence.tables import EXITS_FIRST, OPEN_SIGNAL, lane
from ratchet.persistence.tables import order_intent as t
from ratchet.persistence.tables import signal_log as s
from ratchet.persistence.transaction import Row, Transaction
from ratchet.persistence.types import UtcDateTime, db_now

_OPEN = s.c.status.in_(sorted(str(status) for status in OPEN))


class Holder(Protocol):
    """A claim on whatever orders come from, a signal or a rollover: what a send and its record need of it."""

    @property
    def epoch(self) -> int:
        """The fencing token of this claim."""
        ...

    @property
    def stamp(self) -> datetime:
        """The instant that exits are compared with."""
        ...

    @property
    def kind(self) -> SignalKind:
        """The kind whose rules of supersession hold."""
        ...

    async def hold_lane(self, tx: Transaction, intent: Intent, *, seconds_left: float) -> Lane:
        """Lock the row and the intent's lane, and make sure of the claim. Raises ClaimLost."""
        ...

    async def lock(self, tx: Transaction, intent: Intent) -> Intent:
        """Lock the row, the intent's lane and the intent, without a fence; return the intent as it is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One signal in a worker's hands. epoch: the fencing token of this claim; detail: what earlier turns wrote down."""

    account: AccountId
    strategy: StrategyId
    fingerprint: Fingerprint
    stamp: datetime
    id: SignalId
    seq: int
    instrument: str
    kind: SignalKind
    position: str | None
    source: Source
    payload: dict[str, Any]
    detail: dict[str, Any]
    epoch: int
    attempts: int
    received_at: datetime

    @property
    def price(self) -> Decimal:
        """The price that the message names."""
        return Decimal(str(self.payload["price"]))

    def number(self, field: str) -> Decimal:
        """Return a numeric field of the message, which its validation has proven to be one."""
        return Decimal(str(self.payload[field]))

    async def hold_lane(self, tx: Transaction, intent: Intent, *, seconds_left: float) -> Lane:
        """Lock the signal's row and its lane, and make sure of the claim. Raises ClaimLost."""
        return await hold(tx, self, seconds_left=seconds_left)

    async def lock(self, tx: Transaction, intent: Intent) -> Intent:
        """Lock the signal's row, its lane and the intent: an answer is evidence whoever owns the claim."""
        statement = _LOCK_SIGNAL_AND_INTENT if is_broken(Broken.NO_LANE_LOCK) else _LOCK_INTENT
        return intent_of(await tx.one(statement, **_key(self), k_intent=intent.id))


def claim_of(row: Row) -> Claim:
    """Return the claim that a row of signal_log describes."""
    return Claim(
        account=AccountId(row["account"]),
        strategy=StrategyId(row["strategy"]),
        fingerprint=Fingerprint(row["fingerprint"]),
        stamp=row["signal_ts"],
        id=SignalId(row["id"]),
        seq=row["seq"],
        instrument=row["instrument"],
        kind=SignalKind(row["kind"]),
        position=row["layer"],
        source=Source(row["source"]),
        payload=row["payload"],
        detail=row["detail"] or {},
        epoch=row["epoch"],
        attempts=row["attempts"],
        received_at=row["received_at"],
    )


# Exits first, then in order of acceptance; rows in another worker's hands are skipped, not waited for. In the words of
# ix_signal_log_due, so that however much waits, the first few are found without sorting the rest.
_due = (
    select(s.c.account, s.c.fingerprint, s.c.signal_ts)
    .where(OPEN_SIGNAL, s.c.lease_until < db_now(-bindparam("overdue", type_=Float)))
    .order_by(EXITS_FIRST, s.c.seq)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_CLAIM = (
    update(s)
    .where(s.c.account == _due.c.account, s.c.fingerprint == _due.c.fingerprint, s.c.signal_ts == _due.c.signal_ts)
    .values(
        owner=bindparam("owner", type_=String),
        epoch=s.c.epoch + 1,
        status=str(SignalStatus.PROCESSING),
        lease_until=db_now(bindparam("lease", type_=Float)),
        processed_at=func.coalesce(s.c.processed_at, db_now()),
    )
    .returning(s)
)

_ROW = (
    (s.c.account == bindparam("k_account", type_=String))
    & (s.c.fingerprint == bindparam("k_fingerprint", type_=String))
    & (s.c.signal_ts == bindparam("k_stamp", type_=UtcDateTime))
)
_MINE = _ROW & (s.c.epoch == bindparam("k_epoch", type_=Integer))
_EXTEND = update(s).where(_MINE, _OPEN).values(lease_until=db_now(bindparam("lease", type_=Float)))
_RELEASE = (
    update(s)
    .where(_MINE, _OPEN)
    .values(owner=None, lease_until=db_now(bindparam("delay", type_=Float)), attempts=0, error=None)
)
_STUMBLE = (
    update(s)
    .where(_MINE, _OPEN)
    .values(
        owner=None,
        lease_until=db_now(bindparam("delay", type_=Float)),
        attempts=s.c.attempts + 1,
        error=bindparam("error_text", type_=String),
    )
)
_LOCK = select(s.c.status).where(_ROW).with_for_update()
_IN_LANE = s.join(lane, (lane.c.account == s.c.account) & (lane.c.instrument == s.c.instrument))
# Several rows in one statement: they are locked in the order in which `of` names their tables.
_READ_HOLD = (
    select(
        s.c.epoch,
        s.c.status,
        (s.c.lease_until > db_now(bindparam("left", type_=Float))).label("time_left"),
        lane,
    )
    .select_from(_IN_LANE)
    .where(_ROW)
)
_HOLD = _READ_HOLD.with_for_update(of=[s, lane])
_HOLD_SIGNAL = _READ_HOLD.with_for_update(of=[s])
_READ_INTENT = (
    select(t)
    .select_from(_IN_LANE.join(t, (t.c.account == s.c.account) & (t.c.origin == s.c.fingerprint)))
    .where(_ROW, t.c.id == bindparam("k_intent", type_=t.c.id.type))
)
_LOCK_INTENT = _READ_INTENT.with_for_update(of=[s, lane, t])
_LOCK_SIGNAL_AND_INTENT = _READ_INTENT.with_for_update(of=[s, t])
_OPEN_WORK = select(func.count().label("open"), func.min(s.c.received_at).label("oldest")).where(_OPEN)


class ClaimLost(Exception):
    """The signal is in another worker's hands, or has ended: this turn may write nothing more."""


def _key(claim: Claim) -> dict[str, Any]:
    return {"k_account": claim.account, "k_fingerprint": claim.fingerprint, "k_stamp": claim.stamp}


async def take(
    db: Database, *, owner: str, lease_seconds: float, most: int, overdue_seconds: float = 0.0
) -> list[Claim]:
    """Claim up to `most` signals that are due, or overdue by so many seconds.

    A commit in doubt loses nothing: the lease runs out.
    """
    async with db.single(name="claim") as tx:
        rows = await tx.all(_CLAIM, owner=owner, lease=lease_seconds, most=most, overdue=overdue_seconds)
    claims = [claim_of(row) for row in rows]
    return sorted(claims, key=lambda c: (c.kind is not SignalKind.EXIT, c.seq))


async def extend(tx: Transaction, claim: Claim, *, lease_seconds: float) -> bool:
    """Extend the hold; False if it is no longer ours."""
    return await tx.count(_EXTEND, **_key(claim), k_epoch=claim.epoch, lease=lease_seconds) == 1


async def release(tx: Transaction, claim: Claim, *, delay_seconds: float) -> bool:
    """Give the signal back, to be claimed again after `delay_seconds`; False if it is no longer ours."""
    return await tx.count(_RELEASE, **_key(claim), k_epoch=claim.epoch, delay=delay_seconds) == 1


async def stumble(tx: Transaction, claim: Claim, *, delay_seconds: float, error: str) -> bool:
    """Give the signal back after a turn that raised, and count it."""
    return (
        await tx.count(_STUMBLE, **_key(claim), k_epoch=claim.epoch, delay=delay_seconds, error_text=error[:2000]) == 1
    )


async def hold(tx: Transaction, claim: Claim, *, seconds_left: float = 0.0) -> Lane:
    """Lock the signal's row and its lane, and make sure that the signal is ours, open, and for `seconds_left` more.

    Raises ClaimLost otherwise. Every transaction of a turn that decides something begins with this.
    """
    statement = _HOLD_SIGNAL if is_broken(Broken.NO_LANE_LOCK) else _HOLD
    row = await tx.first(statement, **_key(claim), left=seconds_left)
    if row is None or row["epoch"] != claim.epoch or SignalStatus(row["status"]) is not SignalStatus.PROCESSING:
        raise ClaimLost(f"the claim on {claim.id} is gone")
    if seconds_left > 0 and not row["time_left"]:
        raise ClaimLost(f"the claim on {claim.id} has less than {seconds_left} s left")
    return lane_of(row)


async def status_for_update(tx: Transaction, claim: Claim) -> SignalStatus:
    """Lock the signal's row without a fence (an answer is evidence whoever owns the claim); return its status."""
    row = await tx.one(_LOCK, **_key(claim))
    return SignalStatus(row["status"])


async def open_work(tx: Transaction) -> tuple[int, datetime | None]:
    """Return how many signals are open, and when the oldest was received."""
    row = await tx.one(_OPEN_WORK)
    return row["open"], row["oldest"]
