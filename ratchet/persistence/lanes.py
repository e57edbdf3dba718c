"""Lanes: the row of (account, instrument) that every transaction locks which reads or changes open quantity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Integer, Select, String, bindparam, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from ratchet.broken import Broken, is_broken
from ratchet.domain.signals import SignalKind
from ratchet.persistence.tables import lane, order_intent, signal_log
from ratchet.persistence.transaction import Row, Transaction
from ratchet.persistence.types import UtcDateTime

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Where watermarks start; before any stamp that the webhook accepts."""

_KEY = (lane.c.account == bindparam("k_account", type_=String)) & (
    lane.c.instrument == bindparam("k_instrument", type_=String)
)
_READ = select(lane).where(_KEY)
_LOCK = _READ.with_for_update()
_HOLD = (
    update(lane)
    .where(_KEY)
    .values(hold=bindparam("new_hold", type_=String), hold_ref=bindparam("new_ref", type_=String))
)
_REVIEWS = (
    select(signal_log.c.id)
    .where(
        signal_log.c.account == bindparam("k_account"),
        signal_log.c.instrument == bindparam("k_instrument"),
        signal_log.c.status == "review",
    )
    .limit(1)
)
_ORDER_REVIEWS = (
    select(order_intent.c.id)
    .where(
        order_intent.c.account == bindparam("k_account"),
        order_intent.c.instrument == bindparam("k_instrument"),
        order_intent.c.state == "REVIEW",
    )
    .limit(1)
)
_WHOLE = select(lane.c.account).group_by(lane.c.account).having(func.count() >= bindparam("lanes", type_=Integer))
_DROP_SLOT = text("DROP INDEX IF EXISTS uq_order_intent_slot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A locked lane. exit_watermark: the latest stamp of an accepted exit."""

    account: str
    instrument: str
    exit_watermark: datetime
    hold: str
    hold_ref: str | None

    def supersedes(self, kind: SignalKind, stamp: datetime) -> bool:
        """Whether an accepted exit keeps an entry of this kind and stamp from being sent.

        A base entry of the exit's own second may follow it; a pyramid may not. Source: docs/protocol.md, section 8.
        """
        return stamp < self.exit_watermark or (kind is SignalKind.PYRAMID and stamp == self.exit_watermark)


def lane_of(row: Row) -> Lane:
    """Return the lane that a row describes."""
    return Lane(
        account=row["account"],
        instrument=row["instrument"],
        exit_watermark=row["exit_watermark"],
        hold=row["hold"],
        hold_ref=row["hold_ref"],
    )


async def ensure(tx: Transaction, account: str, instruments: Iterable[str]) -> None:
    """Make sure that the lanes exist."""
    make = postgresql.insert if tx.dialect == "postgresql" else sqlite.insert
    statement = make(lane).on_conflict_do_nothing(index_elements=["account", "instrument"])
    for name in sorted(instruments):
        await tx.count(
            statement.values(
                account=bindparam("account"),
                instrument=bindparam("instrument"),
                exit_watermark=bindparam("mark", type_=UtcDateTime),
            ),
            account=account,
            instrument=name,
            mark=BEGINNING,
        )


async def lock(tx: Transaction, account: str, instrument: str) -> Lane:
    """Lock and return a lane."""
    return await _lane(tx, _READ if is_broken(Broken.NO_LANE_LOCK) else _LOCK, account, instrument)


async def read(tx: Transaction, account: str, instrument: str) -> Lane:
    """Return a lane as it stands; decides nothing for sure."""
    return await _lane(tx, _READ, account, instrument)


async def _lane(tx: Transaction, statement: Select[Any], account: str, instrument: str) -> Lane:
    return lane_of(await tx.one(statement, k_account=account, k_instrument=instrument))


async def hold(tx: Transaction, account: str, instrument: str, *, reason: str, ref: str | None) -> None:
    """Keep entries out of a locked lane (`review`, `rollover`), or let them in again (`none`)."""
    await tx.count(_HOLD, k_account=account, k_instrument=instrument, new_hold=reason, new_ref=ref)


async def let_go_of_review(tx: Transaction, account: str, instrument: str) -> None:
    """Let entries in again if no signal and no order of the locked lane is in review any more."""
    held = await lock(tx, account, instrument)
    if held.hold != "review":
        return
    for reviews in (_REVIEWS, _ORDER_REVIEWS):
        if await tx.first(reviews, k_account=account, k_instrument=instrument) is not None:
            return
    await hold(tx, account, instrument, reason="none", ref=None)


async def accounts_with(tx: Transaction, lanes: int) -> list[str]:
    """Return the accounts that have at least so many lanes."""
    return [row["account"] for row in await tx.all(_WHOLE, lanes=lanes)]


async def drop_slot_index(tx: Transaction) -> None:
    """Take the slot out of the schema: for the broken build that must be caught without it."""
    await tx.count(_DROP_SLOT)
