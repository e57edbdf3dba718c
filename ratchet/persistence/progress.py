"""Progress: what is recorded of an entry, read in one statement, because every step of every entry begins with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, and_, bindparam, or_, select

from ratchet.domain.orders import Intent
from ratchet.domain.signals import OPEN, TRADE_KINDS, SignalKind
from ratchet.persistence.claims import Claim
from ratchet.persistence.errors import StatementFailed
from ratchet.persistence.intents import intent_of
from ratchet.persistence.lanes import Lane
from ratchet.persistence.tables import lane
from ratchet.persistence.tables import order_intent as t
from ratchet.persistence.tables import signal_log as s
from ratchet.persistence.transaction import Transaction
from ratchet.persistence.types import UtcDateTime

_other = s.alias("other")
# Entries wait for every earlier open trade of their lane; a base entry waits for every open exit as well.
_AHEAD = select(_other.c.seq).where(
    _other.c.account == s.c.account,
    _other.c.instrument == s.c.instrument,
    _other.c.status.in_(sorted(str(status) for status in OPEN)),
    or_(
        and_(_other.c.seq < s.c.seq, _other.c.kind.in_(sorted(str(kind) for kind in TRADE_KINDS))),
        # An exit that came later and waits for this entry is not waited for: they would wait for each other.
        and_(_other.c.kind == str(SignalKind.EXIT), _other.c.signal_ts < s.c.signal_ts),
    ),
)
_READ = (
    select(
        t,
        s.c.detail.label("signal_detail"),
        lane.c.exit_watermark,
        lane.c.hold,
        lane.c.hold_ref,
        _AHEAD.exists().label("ahead"),
    )
    .select_from(
        s.join(lane, (lane.c.account == s.c.account) & (lane.c.instrument == s.c.instrument)).outerjoin(
            t, (t.c.account == s.c.account) & (t.c.origin == s.c.fingerprint)
        )
    )
    .where(
        s.c.account == bindparam("account", type_=String),
        s.c.fingerprint == bindparam("fingerprint", type_=String),
        s.c.signal_ts == bindparam("stamp", type_=UtcDateTime),
    )
    .order_by(t.c.step, t.c.attempt, t.c.leg)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is recorded of an entry. ahead: an earlier trade, or an exit of earlier stamp, of the lane is open."""

    detail: dict[str, Any]
    intents: list[Intent]
    lane: Lane
    ahead: bool


async def read(tx: Transaction, claim: Claim) -> Progress:
    """Return what is recorded; decides nothing for sure. Raises StatementFailed if the signal or its lane is gone."""
    rows = await tx.all(_READ, account=claim.account, fingerprint=claim.fingerprint, stamp=claim.stamp)
    if not rows:
        raise StatementFailed(f"signal {claim.id} or its lane is gone")
    first = rows[0]
    return Progress(
        detail=first["signal_detail"] or {},
        intents=[intent_of(row) for row in rows if row["id"] is not None],
        lane=Lane(
            account=claim.account,
            instrument=claim.instrument,
            exit_watermark=first["exit_watermark"],
            hold=first["hold"],
            hold_ref=first["hold_ref"],
        ),
        ahead=first["ahead"],
    )
