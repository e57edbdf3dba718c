"""Rollovers: one row for each layer and old contract, claimed like a signal, its legs kept as order intents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Date, Float, String, Uuid, bindparam, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from ratchet.broken import Broken, is_broken
from ratchet.domain.identity import PositionId
from ratchet.domain.orders import Intent
from ratchet.domain.positions import Layer, LayerStatus
from ratchet.domain.rollover import RolloverStatus, sources_of
from ratchet.domain.signals import ALL, OPEN, SignalKind
from ratchet.persistence import intents, lanes
from ratchet.persistence.claims import ClaimLost
from ratchet.persistence.lanes import Lane
from ratchet.persistence.tables import positions, signal_log
from ratchet.persistence.tables import rollover as t
from ratchet.persistence.transaction import Row, Transaction
from ratchet.persistence.types import Document, UtcDateTime, db_now

_ROLLING = t.c.state.in_([str(RolloverStatus.PENDING), str(RolloverStatus.IN_PROGRESS), str(RolloverStatus.FAILED)])
_KEY = t.c.id == bindparam("k_id", type_=Uuid)
_BEGIN = {
    name: make(t)
    .values(
        {
            column: bindparam(column, type_=t.c[column].type)
            for column in "id account position_id old_contract state direction detail".split()
        }
        | {"created_at": db_now()}
    )
    .on_conflict_do_nothing()
    for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_SEIZE = (
    update(t)
    .where(_KEY, _ROLLING)
    .values(
        owner=bindparam("owner", type_=String), epoch=t.c.epoch + 1, lease_until=db_now(bindparam("lease", type_=Float))
    )
    .returning(t)
)
_CLAIM = _SEIZE.where(func.coalesce(t.c.lease_until, db_now(-1.0)) < db_now())
_DROP_UNFINISHED = text("DROP INDEX IF EXISTS uq_rollover_unfinished")
_LOCK = (
    select(t.c.epoch, t.c.state, (t.c.lease_until > db_now(bindparam("left", type_=Float))).label("time_left"))
    .where(_KEY)
    .with_for_update()
)
_RELEASE = (
    update(t).where(_KEY, t.c.epoch == bindparam("k_epoch", type_=BigInteger)).values(owner=None, lease_until=db_now())
)
_EXTEND = (
    update(t)
    .where(_KEY, t.c.epoch == bindparam("k_epoch", type_=BigInteger))
    .values(lease_until=db_now(bindparam("lease", type_=Float)))
)
_TO = {
    state: update(t)
    .where(_KEY, t.c.state.in_(sorted(str(s) for s in sources_of(state))))
    .values(state=str(state), detail=bindparam("new_detail", type_=Document))
    for state in RolloverStatus
}
_NOTE = update(t).where(_KEY).values(detail=bindparam("new_detail", type_=Document))
_MARK = (
    update(positions)
    .where(positions.c.id == bindparam("k_position", type_=Uuid))
    .values(rollover_status=bindparam("new_status", type_=String))
)
_MOVE = (
    update(positions)
    .where(positions.c.id == bindparam("k_position", type_=Uuid))
    .values(
        {
            name: bindparam(f"new_{name}", type_=positions.c[name].type)
            for name in ("entry_price", "initial_stop", "stop", "high", "strike", "lots", "expiry")
        }
        | {
            "rollover_status": str(RolloverStatus.ROLLED),
            "rollover_count": positions.c.rollover_count + 1,
            "version": positions.c.version + 1,
        }
    )
)
_EXPIRING = (
    select(positions.c.id, positions.c.instrument, positions.c.expiry, positions.c.rollover_status)
    .where(
        positions.c.account == bindparam("account", type_=String),
        positions.c.status == str(LayerStatus.OPEN),
        positions.c.expiry < bindparam("before", type_=Date),
    )
    .order_by(positions.c.instrument, positions.c.layer)
)
_OPEN_ROLLS = select(t).where(_ROLLING).order_by(t.c.created_at, t.c.id)
_ONE = select(t).where(_KEY)
_SEEN = (
    select(
        t.c.id, t.c.account, t.c.state, t.c.old_contract, positions.c.instrument, positions.c.layer, positions.c.expiry
    )
    .join(positions, positions.c.id == t.c.position_id)
    .order_by(t.c.created_at, t.c.id)
)
_UNDER_WAY = _SEEN.where(_ROLLING)
_BEGUN_SINCE = _SEEN.where(t.c.created_at >= bindparam("since", type_=UtcDateTime))
_EXITING = (
    select(signal_log.c.id)
    .where(
        signal_log.c.account == bindparam("account"),
        signal_log.c.instrument == bindparam("instrument"),
        signal_log.c.kind == str(SignalKind.EXIT),
        signal_log.c.status.in_([str(status) for status in OPEN]),
        signal_log.c.layer.in_([ALL, bindparam("layer", type_=String)]),
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """A claimed rollover. detail: the target, the round of tries, and what was found."""

    id: UUID
    account: str
    position_id: PositionId
    old_contract: str
    state: RolloverStatus
    detail: dict[str, Any]
    epoch: int
    stamp: datetime
    kind: SignalKind = SignalKind.BASE_ENTRY

    async def hold(self, tx: Transaction, *, seconds_left: float = 0.0) -> None:
        """Lock the row and make sure of the claim. Raises ClaimLost."""
        row = await tx.one(_LOCK, k_id=self.id, left=seconds_left)
        if is_broken(Broken.NO_ROLLOVER_CLAIM):
            return
        if row["epoch"] != self.epoch or (seconds_left > 0 and not row["time_left"]):
            raise ClaimLost(f"the claim on rollover {self.id} is gone")

    async def hold_lane(self, tx: Transaction, intent: Intent, *, seconds_left: float) -> Lane:
        """Lock the row and the intent's lane, and make sure of the claim. Raises ClaimLost."""
        await self.hold(tx, seconds_left=seconds_left)
        return await lanes.lock(tx, intent.account, intent.instrument)

    async def lock(self, tx: Transaction, intent: Intent) -> Intent:
        """Lock the row and the intent's lane, without a fence; return the intent as it is."""
        await tx.one(_LOCK, k_id=self.id, left=0.0)
        await lanes.lock(tx, intent.account, intent.instrument)
        return await intents.get(tx, intent.id)

    @property
    def origin(self) -> str:
        """What the intents of this roll name as their origin."""
        return str(self.id)


def _rolling(row: Row) -> Rolling:
    return Rolling(
        id=row["id"],
        account=row["account"],
        position_id=PositionId(row["position_id"]),
        old_contract=row["old_contract"],
        state=RolloverStatus(row["state"]),
        detail=row["detail"] or {},
        epoch=row["epoch"],
        stamp=row["created_at"],
    )


async def begin(tx: Transaction, layer: Layer, *, old_contract: str, detail: Mapping[str, Any]) -> bool:
    """Write a pending roll; False if the layer was rolled out of this contract, or is in the middle of another roll.

    The database decides it, whoever else begins at this moment. A layer in the middle of its roll holds something else
    than at its begin: that is no contract to leave.
    """
    made = await tx.count(
        _BEGIN[tx.dialect],
        id=uuid4(),
        account=layer.account,
        position_id=layer.id,
        old_contract=old_contract,
        state=str(RolloverStatus.PENDING),
        direction="forward",
        detail=dict(detail),
    )
    if made:
        await mark(tx, layer.id, RolloverStatus.PENDING)
    return made == 1


async def claim(tx: Transaction, rollover_id: UUID, *, owner: str, lease_seconds: float) -> Rolling | None:
    """Take a roll that nobody holds; None if somebody does, or it is over."""
    statement = _SEIZE if is_broken(Broken.NO_ROLLOVER_CLAIM) else _CLAIM
    row = await tx.first(statement, k_id=rollover_id, owner=owner, lease=lease_seconds)
    return None if row is None else _rolling(row)


async def release(tx: Transaction, rolling: Rolling) -> None:
    """Give a roll back."""
    await tx.count(_RELEASE, k_id=rolling.id, k_epoch=rolling.epoch)


async def extend(tx: Transaction, rolling: Rolling, *, lease_seconds: float) -> None:
    """Extend the hold, if it is still ours."""
    await tx.count(_EXTEND, k_id=rolling.id, k_epoch=rolling.epoch, lease=lease_seconds)


async def to_state(tx: Transaction, rolling: Rolling, state: RolloverStatus, detail: Mapping[str, Any]) -> bool:
    """Move a locked roll along its table, and its layer's mark with it; False if the table does not allow it.

    detail: is added to what is stored by now, which may be more than when the roll was claimed.
    """
    stored = (await get(tx, rolling.id)).detail
    moved = await tx.count(_TO[state], k_id=rolling.id, new_detail={**stored, **detail})
    if moved:
        await mark(tx, rolling.position_id, state)
    return moved == 1


async def note(tx: Transaction, rolling: Rolling, detail: Mapping[str, Any]) -> None:
    """Write facts of a locked roll down for the next pass."""
    stored = (await get(tx, rolling.id)).detail
    await tx.count(_NOTE, k_id=rolling.id, new_detail={**stored, **detail})


async def mark(tx: Transaction, position_id: PositionId, status: RolloverStatus) -> None:
    """Show the roll's state on its layer."""
    await tx.count(_MARK, k_position=position_id, new_status=str(status))


async def move(tx: Transaction, layer: Layer, *, expiry: date) -> None:
    """Write a layer that is wholly in its new contract: prices shifted, lots, expiry, and `rolled`."""
    await tx.count(
        _MOVE,
        k_position=layer.id,
        new_entry_price=layer.entry_price,
        new_initial_stop=layer.initial_stop,
        new_stop=layer.stop,
        new_high=layer.high,
        new_strike=layer.strike,
        new_lots=layer.lots,
        new_expiry=expiry,
    )


async def expiring(tx: Transaction, account: str, *, before: date) -> list[Row]:
    """Return id, instrument, expiry and roll state of open layers whose contract expires before a day."""
    return await tx.all(_EXPIRING, account=account, before=before)


async def unfinished(tx: Transaction) -> list[Rolling]:
    """Return every roll that is pending, under way or failed, oldest first."""
    return [_rolling(row) for row in await tx.all(_OPEN_ROLLS)]


async def watched(tx: Transaction, *, since: datetime) -> list[Row]:
    """Return every roll that is unfinished or was begun since then, for whoever shows them: what rolls, and its state.

    expiry: of the contract that the layer is in now.
    """
    found = {row["id"]: row for row in await tx.all(_UNDER_WAY)}
    found |= {row["id"]: row for row in await tx.all(_BEGUN_SINCE, since=since)}
    return list(found.values())


async def get(tx: Transaction, rollover_id: UUID) -> Rolling:
    """Return one roll as it stands."""
    return _rolling(await tx.one(_ONE, k_id=rollover_id))


async def exit_waits(tx: Transaction, layer: Layer) -> bool:
    """Whether an exit that names the layer is open."""
    row = await tx.first(_EXITING, account=layer.account, instrument=layer.instrument, layer=layer.name)
    return row is not None


async def drop_unfinished_index(tx: Transaction) -> None:
    """Allow several unfinished rolls of a layer: for the broken build that must be caught without their one."""
    await tx.count(_DROP_UNFINISHED)
