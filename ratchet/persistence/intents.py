"""Order intents: planned once, changed only by compare-and-set along the transition table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Date, Integer, String, and_, bindparam, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ratchet.broken import Broken, is_broken
from ratchet.domain.identity import AccountId, BrokerOrderId, IntentId, PositionId
from ratchet.domain.orders import IN_FLIGHT, Intent, IntentState, Purpose, Side, sources_of
from ratchet.observability import metrics
from ratchet.persistence.tables import incident
from ratchet.persistence.tables import order_intent as t
from ratchet.persistence.transaction import Row, Transaction, Write
from ratchet.persistence.types import Document, Fixed, UtcDateTime, db_now

_FLYING = t.c.state.in_(sorted(str(state) for state in IN_FLIGHT))
_COLUMNS = (
    "id account instrument origin signal_ts purpose leg step attempt exchange symbol product side quantity "
    "lot_size tick price state targets reserved created_at"
).split()
_PLAN = {
    name: make(t)
    .values({column: bindparam(column, type_=t.c[column].type) for column in _COLUMNS})
    .on_conflict_do_nothing()
    .returning(t.c.id)
    for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_BY_ORIGIN = (
    select(t)
    .where(t.c.account == bindparam("account"), t.c.origin == bindparam("origin"))
    .order_by(t.c.step, t.c.attempt, t.c.leg)
)
_BY_ID = select(t).where(t.c.id == bindparam("id"))
_LANE_FLYING = select(t).where(t.c.account == bindparam("account"), t.c.instrument == bindparam("instrument"), _FLYING)
_FLYING_OF = select(t).where(t.c.account == bindparam("account"), _FLYING)
_ON_THE_WAY = (
    select(t)
    .where(t.c.state.in_(sorted(str(state) for state in IN_FLIGHT - {IntentState.PENDING})))
    .order_by(t.c.account, t.c.sent_at, t.c.id)
)
_BOUND = select(t.c.broker_order_id).where(
    t.c.account == bindparam("account"),
    t.c.broker_order_id.is_not(None),
    t.c.broker_day >= bindparam("since", type_=Date),
)
_TAINTED = (
    select(t.c.id)
    .where(
        t.c.account == bindparam("account"),
        t.c.exchange == bindparam("exchange"),
        t.c.symbol == bindparam("symbol"),
        t.c.product == bindparam("product"),
        t.c.side == bindparam("side"),
        t.c.state == str(IntentState.NOT_PLACED),
        t.c.broker_day == bindparam("day", type_=Date),
        t.c.id != bindparam("id"),
    )
    .limit(1)
)
_ID = t.c.id == bindparam("k_id", type_=t.c.id.type)


def _to(after: IntentState, **values: Any) -> Any:
    """Return the compare-and-set towards `after`: from any state that the table allows, unless `sources` narrows it."""
    return (
        update(t)
        .where(_ID, t.c.state.in_(sorted(str(s) for s in sources_of(after))))
        .values(state=str(after), **values)
    )


_SEND_VALUES = {
    "state": str(IntentState.SENDING),
    "baseline": bindparam("new_baseline", type_=Document),
    "sender": bindparam("new_sender", type_=String),
    "epoch": bindparam("new_epoch", type_=BigInteger),
    "price": bindparam("new_price", type_=Fixed),
    "broker_day": bindparam("new_day", type_=Date),
    "sent_at": db_now(),
    "answered_at": None,
    "looks": 0,
    "good_looks": None,
}
_SEND = update(t).where(_ID, t.c.state == str(IntentState.PENDING)).values(_SEND_VALUES).returning(t)
_SEND_UNGUARDED = update(t).where(_ID).values(_SEND_VALUES).returning(t)
_TAKE_BACK = (
    update(t)
    .where(
        _ID,
        t.c.state == str(IntentState.SENDING),
        t.c.sender == bindparam("k_sender"),
        t.c.epoch == bindparam("k_epoch"),
    )
    .values(state=str(IntentState.PENDING), sent_at=None, sender=None, broker_day=None, how=bindparam("new_how"))
)
_UNKNOWN = (
    update(t)
    .where(_ID, t.c.state == str(IntentState.SENDING))
    .values(
        state=str(IntentState.UNKNOWN),
        answered_at=bindparam("new_answered_at", type_=UtcDateTime),
        how=bindparam("new_how", type_=String),
    )
)
_LOOKED = update(t).where(_ID).values(looks=t.c.looks + 1, good_looks=bindparam("new_looks", type_=Document))
_WORKING = _to(
    IntentState.WORKING, broker_order_id=bindparam("new_order_id", type_=String), how=bindparam("new_how", type_=String)
)
_SEEN_END = update(t).where(_ID).values(seen_end=bindparam("new_end", type_=String))
_RUNG = (
    update(t)
    .where(_ID, t.c.state == str(IntentState.WORKING))
    .values(rungs=bindparam("new_rungs", type_=Integer), price=bindparam("new_price", type_=Fixed), rung_at=db_now())
)
_CANCEL = (
    update(t).where(_ID, t.c.state == str(IntentState.WORKING)).values(cancel_at=func.coalesce(t.c.cancel_at, db_now()))
)
_FILL = (
    update(t)
    .where(_ID, t.c.filled == bindparam("k_filled", type_=BigInteger))
    .values(
        filled=bindparam("new_filled", type_=BigInteger),
        avg_price=bindparam("new_avg", type_=Fixed),
        reserved=bindparam("new_reserved", type_=Fixed),
    )
)
_ENDS: dict[IntentState, Any] = {
    state: _to(
        state,
        how=bindparam("new_how", type_=String),
        broker_order_id=func.coalesce(bindparam("new_order_id", type_=String), t.c.broker_order_id),
        reserved=Decimal(0),
        terminal_at=db_now(),
    )
    for state in IntentState
    if state not in IN_FLIGHT and state is not IntentState.REVIEW
}
_REVIEW = _to(IntentState.REVIEW, how=bindparam("new_how", type_=String))
_OPEN_INCIDENT = (
    select(incident.c.id)
    .where(
        incident.c.account == bindparam("account"),
        incident.c.closed_at.is_(None),
        or_(
            and_(incident.c.symbol == bindparam("symbol"), incident.c.side == bindparam("side")),
            and_(incident.c.instrument == bindparam("instrument"), incident.c.kind == "exposed"),
        ),
    )
    .limit(1)
)


def _entered(tx: Transaction, state: IntentState, rows: int = 1) -> bool:
    """Count an intent that enters a state, once that is committed; return whether it does."""
    if rows == 1:
        tx.after_commit.append(metrics.INTENT_TRANSITIONS.labels(str(state)).inc)
    return rows == 1


def intent_of(row: Row) -> Intent:
    """Return the intent that a row describes."""
    return Intent(
        id=IntentId(row["id"]),
        account=AccountId(row["account"]),
        instrument=row["instrument"],
        origin=row["origin"],
        signal_ts=row["signal_ts"],
        purpose=Purpose(row["purpose"]),
        leg=row["leg"],
        step=row["step"],
        attempt=row["attempt"],
        exchange=row["exchange"],
        symbol=row["symbol"],
        product=row["product"],
        side=Side(row["side"]),
        quantity=row["quantity"],
        lot_size=row["lot_size"],
        tick=row["tick"],
        price=row["price"],
        state=IntentState(row["state"]),
        targets=tuple(PositionId(UUID(target)) for target in row["targets"]),
        reserved=row["reserved"],
        filled=row["filled"],
        avg_price=row["avg_price"],
        baseline=tuple(row["baseline"] or ()),
        broker_order_id=None if row["broker_order_id"] is None else BrokerOrderId(row["broker_order_id"]),
        broker_day=row["broker_day"],
        sender=row["sender"],
        epoch=row["epoch"],
        created_at=row["created_at"],
        sent_at=row["sent_at"],
        answered_at=row["answered_at"],
        terminal_at=row["terminal_at"],
        looks=row["looks"],
        good_looks=tuple(datetime.fromisoformat(at) for at in row["good_looks"] or ()),
        rungs=row["rungs"],
        rung_at=row["rung_at"],
        cancel_at=row["cancel_at"],
        seen_end=row["seen_end"],
        how=row["how"],
    )


async def plan_once(tx: Transaction, intent: Intent) -> bool:
    """Write a PENDING intent; False if it is there already, or if its slot is taken."""
    values: dict[str, Any] = {name: getattr(intent, name) for name in _COLUMNS}
    values |= {
        "purpose": str(intent.purpose),
        "side": str(intent.side),
        "state": str(intent.state),
        "targets": [str(target) for target in intent.targets],
    }
    planned = await tx.first(_PLAN[tx.dialect], **values) is not None
    return _entered(tx, IntentState.PENDING, int(planned))


async def of_origin(tx: Transaction, account: str, origin: str) -> list[Intent]:
    """Return the intents of one signal or rollover, in the order of their legs and attempts."""
    return [intent_of(row) for row in await tx.all(_BY_ORIGIN, account=account, origin=origin)]


async def get(tx: Transaction, intent_id: IntentId) -> Intent:
    """Return one intent."""
    return intent_of(await tx.one(_BY_ID, id=intent_id))


async def in_flight_of_lane(tx: Transaction, account: str, instrument: str) -> list[Intent]:
    """Return the in-flight intents of a lane, whatever they came from."""
    return [intent_of(row) for row in await tx.all(_LANE_FLYING, account=account, instrument=instrument)]


async def in_flight(tx: Transaction, account: str) -> list[Intent]:
    """Return the in-flight intents of an account."""
    return [intent_of(row) for row in await tx.all(_FLYING_OF, account=account)]


async def on_the_way(tx: Transaction) -> list[Intent]:
    """Return every account's orders that were permitted and have not ended: they are, or may be, at the broker."""
    return [intent_of(row) for row in await tx.all(_ON_THE_WAY)]


async def bound_orders(tx: Transaction, account: str, since: date) -> set[str]:
    """Return the broker's order ids that an intent sent since `since` is bound to."""
    rows = await tx.all(_BOUND, account=account, since=since - timedelta(days=1))
    return {row["broker_order_id"] for row in rows}


async def slot_tainted(tx: Transaction, intent: Intent, day: date) -> bool:
    """Whether an earlier order of this slot was declared absent today, so that a match could be that one, late."""
    row = await tx.first(
        _TAINTED,
        account=intent.account,
        exchange=intent.exchange,
        symbol=intent.symbol,
        product=intent.product,
        side=str(intent.side),
        day=day,
        id=intent.id,
    )
    return row is not None


async def slot_has_incident(tx: Transaction, intent: Intent) -> bool:
    """Whether an open incident closes the intent's slot."""
    row = await tx.first(
        _OPEN_INCIDENT,
        account=intent.account,
        symbol=intent.symbol,
        side=str(intent.side),
        instrument=intent.instrument if intent.purpose.opens else None,
    )
    return row is not None


async def to_sending(
    tx: Transaction, intent: Intent, *, baseline: Sequence[str], sender: str, epoch: int, price: Decimal, day: date
) -> Intent | None:
    """The permission to send: PENDING -> SENDING by compare-and-set; None if the intent is not PENDING any more."""
    statement = _SEND_UNGUARDED if is_broken(Broken.NO_COMPARE_AND_SET) else _SEND
    row = await tx.first(
        statement,
        k_id=intent.id,
        new_baseline=list(baseline),
        new_sender=sender,
        new_epoch=epoch,
        new_price=price,
        new_day=day,
    )
    _entered(tx, IntentState.SENDING, int(row is not None))
    return None if row is None else intent_of(row)


async def take_back(tx: Transaction, intent: Intent, *, sender: str, epoch: int, how: str) -> bool:
    """SENDING -> PENDING, by the sender that knows that no byte was written."""
    rows = await tx.count(_TAKE_BACK, k_id=intent.id, k_sender=sender, k_epoch=epoch, new_how=how[:200])
    return _entered(tx, IntentState.PENDING, rows)


async def to_unknown(tx: Transaction, intent: Intent, *, answered_at: datetime | None, how: str) -> bool:
    """SENDING -> UNKNOWN: the call is over and nobody knows what it did."""
    rows = await tx.count(_UNKNOWN, k_id=intent.id, new_answered_at=answered_at, new_how=how[:200])
    return _entered(tx, IntentState.UNKNOWN, rows)


async def looked(tx: Transaction, intent: Intent, good_looks: Iterable[datetime]) -> None:
    """Count a look-up, and store the instants of the good ones that showed nothing."""
    await tx.count(_LOOKED, k_id=intent.id, new_looks=[at.isoformat() for at in good_looks])


def binding(tx: Transaction, intent: Intent, *, order_id: BrokerOrderId, how: str) -> Write:
    """Return the change that binds the broker's order to a locked intent that may become WORKING."""
    _entered(tx, IntentState.WORKING)
    return Write(_WORKING, {"k_id": intent.id, "new_order_id": order_id, "new_how": how[:200]})


async def to_review(tx: Transaction, intent: Intent, *, how: str) -> bool:
    """Leave the intent to a person."""
    return _entered(tx, IntentState.REVIEW, await tx.count(_REVIEW, k_id=intent.id, new_how=how[:200]))


async def to_end(
    tx: Transaction, intent: Intent, state: IntentState, *, how: str, order_id: BrokerOrderId | None = None
) -> bool:
    """End the intent in a terminal state; False if the table does not allow it from where the row is."""
    rows = await tx.count(_ENDS[state], k_id=intent.id, new_how=how[:200], new_order_id=order_id)
    return _entered(tx, state, rows)


def ending(tx: Transaction, intent: Intent, state: IntentState, *, how: str) -> Write:
    """Return the change that ends a locked intent whose state may become `state`."""
    _entered(tx, state)
    return Write(_ENDS[state], {"k_id": intent.id, "new_how": how[:200], "new_order_id": None})


async def see_end(tx: Transaction, intent: Intent, status: str | None) -> None:
    """Remember that the book showed a terminal status once."""
    await tx.count(_SEEN_END, k_id=intent.id, new_end=status)


async def move_rung(tx: Transaction, intent: Intent, *, rungs: int, price: Decimal) -> bool:
    """Write down the next price before the broker is asked for it."""
    return await tx.count(_RUNG, k_id=intent.id, new_rungs=rungs, new_price=price) == 1


async def ask_cancel(tx: Transaction, intent: Intent) -> bool:
    """Write down that the order is to be cancelled, before the broker is asked."""
    return await tx.count(_CANCEL, k_id=intent.id) == 1


def growing(intent: Intent, *, filled: int, avg_price: Decimal, reserved: Decimal) -> Write:
    """Return the change that raises the filled quantity from the one that the caller saw."""
    return Write(
        _FILL,
        {
            "k_id": intent.id,
            "k_filled": intent.filled,
            "new_filled": filled,
            "new_avg": avg_price,
            "new_reserved": reserved,
        },
    )
