"""The questions of the auditor to the database; each row that comes back is a violation, or a fact to compare with.

Plain SQL over one snapshot, the same on PostgreSQL and SQLite. Source: docs/protocol.md, section 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, and_, bindparam, case, func, or_, select
from sqlalchemy.sql.elements import ClauseElement

from ratchet.domain.numbers import ZERO
from ratchet.domain.orders import BROKER_ENDS, IN_FLIGHT, IntentState, Purpose, Side
from ratchet.domain.positions import LayerStatus
from ratchet.domain.signals import OPEN, SignalKind, SignalStatus
from ratchet.persistence.tables import (
    UNFINISHED_ROLL,
    control,
    event_log,
    holdings,
    incident,
    lane,
    leader_fence,
    ledger,
    order_intent,
    portfolio,
    positions,
    rollover,
    signal_log,
)
from ratchet.persistence.transaction import Row, Transaction
from ratchet.persistence.types import Fixed, UtcDateTime

i, s, e = order_intent.c, signal_log.c, event_log.c
other = order_intent.alias("other").c

DECIDED = "decided by"
"""How an intent's `how` begins when a person ended it."""

_FLYING = i.state.in_(sorted(str(state) for state in IN_FLIGHT))
_SLOT = (i.account, i.exchange, i.symbol, i.product, i.side)
_UNDONE = [str(x) for x in (IntentState.REFUSED, IntentState.CANCELLED, IntentState.PARTIAL, IntentState.REJECTED)]
_ROLLS = [str(Purpose.ROLL_CLOSE), str(Purpose.ROLL_OPEN)]

_epochs = (
    select(
        e.id,
        e.stream,
        e.leader_epoch,
        func.max(e.leader_epoch).over(order_by=e.id, rows=(None, -1)).label("highest_before"),
    )
    .where(e.leader_epoch.is_not(None))
    .subquery("epochs")
)

DIRECT: Mapping[str, ClauseElement] = {
    "I2": select(i.account, i.origin, i.leg, func.count().label("sent"))
    .where(i.purpose == str(Purpose.ENTRY), i.sent_at.is_not(None), i.state.not_in(_UNDONE))
    .group_by(i.account, i.origin, i.leg)
    .having(func.count() > 1),
    "I4": select(e.stream, func.count().label("ends"))
    .where(e.kind.like("terminal:%"))
    .group_by(e.stream)
    .having(func.count() > 1),
    "I12": select(e.stream, func.max(e.seq).label("last"), func.count().label("events"))
    .group_by(e.stream)
    .having(func.max(e.seq) != func.count()),
    "I15": select(s.account, s.fingerprint, func.count().label("stored"))
    .group_by(s.account, s.fingerprint)
    .having(func.count() > 1),
}
"""Invariants that one query answers."""

_LEGS_TWICE = (
    select(
        i.account,
        i.origin,
        i.leg,
        func.count().label("done"),
        func.sum(i.quantity).label("units"),
        func.min(i.lot_size).label("lot_size"),
    )
    .where(i.purpose.in_(_ROLLS), i.state.in_([str(IntentState.FILLED), str(IntentState.WORKING)]))
    .group_by(i.account, i.origin, i.leg)
    .having(func.count() > 1)
)
_ROLLED_LOTS = select(rollover.c.detail).where(rollover.c.id == bindparam("id", type_=rollover.c.id.type))
_ROLLS_BESIDE = (
    select(rollover.c.position_id, func.count().label("unfinished"))
    .where(UNFINISHED_ROLL)
    .group_by(rollover.c.position_id)
    .having(func.count() > 1)
)
_SLOTS_NOW = select(*_SLOT, func.count().label("in_flight")).where(_FLYING).group_by(*_SLOT).having(func.count() > 1)
# Sent while an earlier order of the slot had been sent and had not ended; a person's end says nothing about its time.
_SLOTS_ONCE = select(*_SLOT, i.id, other.id.label("sent_meanwhile")).where(
    *(getattr(other, column.key) == column for column in _SLOT),
    other.id != i.id,
    other.sent_at > i.sent_at,
    other.sent_at < i.terminal_at,
    func.coalesce(i.how, "").not_like(f"{DECIDED}%"),
)
_EPOCHS_FELL = select(_epochs).where(_epochs.c.leader_epoch < _epochs.c.highest_before)
_EPOCHS_AHEAD = select(e.id, e.stream, e.leader_epoch, leader_fence.c.epoch.label("fence")).where(
    e.leader_epoch > leader_fence.c.epoch
)

_OPEN_SIGNALS = select(
    s.id, s.account, s.instrument, s.kind, s.layer, s.status, s.signal_ts, s.received_at, s.detail
).where(s.status.in_([str(x) for x in OPEN]), s.received_at < bindparam("before", type_=UtcDateTime))
_naming = select(incident.c.id).where(
    incident.c.closed_at.is_(None),
    or_(
        incident.c.signal_id == s.id,
        incident.c.intent_id.in_(select(i.id).where(i.account == s.account, i.origin == s.fingerprint)),
    ),
)
_REVIEWS = select(
    s.id, s.account, s.instrument, s.kind, s.signal_ts, s.received_at, _naming.exists().label("has_incident")
).where(s.status == str(SignalStatus.REVIEW))
_EXITS_ON = select(control.c.exits_on)

_RESERVED = (
    select(i.account, func.sum(i.reserved, type_=Fixed).label("amount"))
    .where(or_(_FLYING, i.state == str(IntentState.REVIEW)))
    .group_by(i.account)
)
_USED = (
    select(positions.c.account, func.sum(positions.c.margin, type_=Fixed).label("amount"))
    .where(positions.c.status != str(LayerStatus.CLOSED))
    .group_by(positions.c.account)
)
_EARNED = select(ledger.c.account, func.sum(ledger.c.amount, type_=Fixed).label("amount")).group_by(ledger.c.account)
_PURSES = select(portfolio.c.account, portfolio.c.reserved, portfolio.c.used, portfolio.c.closed_equity)

_signed = case((i.side == str(Side.BUY), i.filled), else_=-i.filled)
_FILLED_UNITS = (
    select(i.account, i.exchange, i.symbol, func.sum(_signed, type_=BigInteger).label("units"))
    .where(i.filled > 0)
    .group_by(i.account, i.exchange, i.symbol)
)
_HELD_UNITS = (
    select(
        holdings.c.account,
        holdings.c.exchange,
        holdings.c.symbol,
        func.sum(holdings.c.quantity, type_=BigInteger).label("units"),
    )
    .where(holdings.c.quantity != 0)
    .group_by(holdings.c.account, holdings.c.exchange, holdings.c.symbol)
)
_HOLDINGS = select(
    holdings.c.account, holdings.c.exchange, holdings.c.symbol, holdings.c.quantity, holdings.c.position_id
).where(holdings.c.quantity != 0)
_UNSETTLED = select(i.account, i.exchange, i.symbol).where(or_(_FLYING, i.state == str(IntentState.REVIEW))).distinct()
_DISPUTED = (
    select(incident.c.account, incident.c.exchange, incident.c.symbol)
    .where(incident.c.symbol.is_not(None), incident.c.closed_at.is_(None))
    .distinct()
)
_BEYOND = (
    select(incident.c.account, incident.c.exchange, incident.c.symbol)
    .where(incident.c.kind == "unallocated_fill")
    .distinct()
)

# The watermark is raised after the `accepted` event of its exit is written and before anybody can claim that exit.
_EXITS = select(s.account, s.instrument, s.signal_ts, s.received_at, s.processed_at).where(
    s.kind == str(SignalKind.EXIT), or_(s.reason.is_(None), s.reason != "forgotten")
)
_ENTRIES_SENT = (
    select(i.id, i.account, i.instrument, i.symbol, i.signal_ts, i.sent_at, s.kind)
    .join_from(
        order_intent,
        signal_log,
        and_(s.account == i.account, s.fingerprint == i.origin, s.signal_ts == i.signal_ts),
    )
    .join(lane, and_(lane.c.account == i.account, lane.c.instrument == i.instrument))
    .where(
        i.purpose == str(Purpose.ENTRY),
        i.sent_at.is_not(None),
        i.signal_ts <= lane.c.exit_watermark,
    )
)
_OPENING_SENT = select(i.id, i.account, i.symbol, i.side, i.sent_at).where(
    i.purpose.in_([str(Purpose.ENTRY), str(Purpose.ROLL_OPEN)]),
    i.sent_at > bindparam("after", type_=UtcDateTime),
    or_(bindparam("until", type_=UtcDateTime).is_(None), i.sent_at < bindparam("until", type_=UtcDateTime)),
)
_SWITCHED = select(e.at, e.data).where(e.stream == "control", e.kind == "switched").order_by(e.seq)
_SWITCH = select(control.c.entries_on, control.c.entries_off_since)

_ENDED_AT_BROKER = select(i.id, i.account, i.symbol, i.state, i.filled, i.broker_order_id, i.broker_day).where(
    i.state.in_(sorted(str(state) for state in BROKER_ENDS)),
    i.sent_at.is_not(None),
    i.terminal_at < bindparam("before", type_=UtcDateTime),
)
_STATES = select(i.id, i.account, i.state, i.broker_order_id, i.how)
_NAMED = select(incident.c.account, incident.c.broker_order_id).where(incident.c.broker_order_id.is_not(None))


Contract = tuple[str, str, str]
"""(account, exchange, symbol)"""


def _contract(row: Row) -> Contract:
    return row["account"], row["exchange"], row["symbol"]


async def slots(tx: Transaction) -> list[Row]:
    """I11: slots that have two orders in flight, or had an order sent before the one before it had ended."""
    return [*await tx.all(_SLOTS_NOW), *await tx.all(_SLOTS_ONCE)]


async def rolls(tx: Transaction) -> list[Row]:
    """I16: legs of a roll that were done twice, and layers with two rolls that have not ended."""
    twice = [row for row in await tx.all(_LEGS_TWICE) if not await _in_slices(tx, row)]
    return [*twice, *await tx.all(_ROLLS_BESIDE)]


async def _in_slices(tx: Transaction, leg: Row) -> bool:
    """Whether a leg has several orders because the exchange takes only so many units in one."""
    roll = await tx.first(_ROLLED_LOTS, id=UUID(leg["origin"]))
    lots: int = ((roll and roll["detail"]) or {}).get("lots", 0)
    return int(leg["units"]) <= lots * int(leg["lot_size"])


async def epochs(tx: Transaction) -> list[Row]:
    """I17: what a leader wrote after a later one, or under an epoch that the fence never gave."""
    return [*await tx.all(_EPOCHS_FELL), *await tx.all(_EPOCHS_AHEAD)]


async def overdue(tx: Transaction, *, before: datetime) -> list[Row]:
    """Return the open signals that were received before an instant."""
    return await tx.all(_OPEN_SIGNALS, before=before)


async def in_review(tx: Transaction) -> list[Row]:
    """Return the signals that a person must end; `has_incident` says whether anybody was told."""
    return await tx.all(_REVIEWS)


async def exits_on(tx: Transaction) -> bool:
    """Whether exits may be sent."""
    return bool((await tx.one(_EXITS_ON))["exits_on"])


async def money(tx: Transaction) -> list[Row]:
    """I8: amounts of a purse that differ from what they sum up. Rupees."""
    sums = {
        "reserved": {row["account"]: row["amount"] for row in await tx.all(_RESERVED)},
        "used": {row["account"]: row["amount"] for row in await tx.all(_USED)},
        "closed_equity": {row["account"]: row["amount"] for row in await tx.all(_EARNED)},
    }
    purses = {row["account"]: row for row in await tx.all(_PURSES)}
    found: list[Row] = []
    for account in sorted({*purses, *(name for summed in sums.values() for name in summed)}):
        for what, summed in sums.items():
            has: Decimal = purses[account][what] if account in purses else ZERO
            should = summed.get(account, ZERO)
            if has != should:
                found.append({"account": account, "what": what, "has": has, "should_be": should})
    return found


async def units(tx: Transaction) -> tuple[dict[Contract, int], dict[Contract, int]]:
    """Return the signed net units of each contract by the fills of the intents, and by the layers' holdings."""
    filled = {_contract(row): int(row["units"]) for row in await tx.all(_FILLED_UNITS)}
    held = {_contract(row): int(row["units"]) for row in await tx.all(_HELD_UNITS)}
    return filled, held


async def holdings_of_layers(tx: Transaction) -> list[Row]:
    """Return what each layer holds."""
    return await tx.all(_HOLDINGS)


async def unsettled(tx: Transaction) -> set[Contract]:
    """Return the contracts with an order in flight or with a person."""
    return {_contract(row) for row in await tx.all(_UNSETTLED)}


async def disputed(tx: Transaction) -> set[Contract]:
    """Return the contracts that an open incident names."""
    return {_contract(row) for row in await tx.all(_DISPUTED)}


async def overfilled(tx: Transaction) -> set[Contract]:
    """Return the contracts of which more was closed, once, than layers held."""
    return {_contract(row) for row in await tx.all(_BEYOND)}


async def entries_after_exits(tx: Transaction, *, raised_within: timedelta) -> list[Row]:
    """I13: entries that were sent after an exit with a later stamp had closed their lane.

    raised_within: longest time from an exit's row to its watermark, in the accept's one transaction.
    """
    exits = await tx.all(_EXITS)
    found: list[Row] = []
    for entry in await tx.all(_ENTRIES_SENT):
        base = entry["kind"] == str(SignalKind.BASE_ENTRY)
        for exit_ in exits:
            if (exit_["account"], exit_["instrument"]) != (entry["account"], entry["instrument"]):
                continue
            mark = min(exit_["signal_ts"], exit_["received_at"])
            raised = exit_["received_at"] + raised_within
            if exit_["processed_at"] is not None:
                raised = min(raised, exit_["processed_at"])
            closed = entry["signal_ts"] < mark or (entry["signal_ts"] == mark and not base)
            if closed and entry["sent_at"] > raised:
                found.append({**entry, "exit_ts": exit_["signal_ts"], "exit_received_at": exit_["received_at"]})
                break
    return found


async def entries_while_off(tx: Transaction) -> list[Row]:
    """I14: orders that open something, sent between the switch-off of entries and their switch-on.

    The event of a switch is written when its update holds the row, so it lies between the last send before and the
    first one after.
    """
    found: list[Row] = []
    for after, until in await _off_times(tx):
        found += await tx.all(_OPENING_SENT, after=after, until=until)
    return found


async def _off_times(tx: Transaction) -> list[tuple[datetime, datetime | None]]:
    times: list[tuple[datetime, datetime | None]] = []
    since: datetime | None = None
    for row in await tx.all(_SWITCHED):
        if not row["data"]["entries_on"]:
            since = since or row["at"]
        elif since is not None:
            times.append((since, row["at"]))
            since = None
    now = await tx.one(_SWITCH)
    if since is None and not now["entries_on"]:
        since = now["entries_off_since"]
    if since is not None:
        times.append((since, None))
    return times


async def ended_at_broker(tx: Transaction, *, before: datetime) -> list[Row]:
    """Return the orders whose end the broker's book shows, of those that ended before an instant."""
    return await tx.all(_ENDED_AT_BROKER, before=before)


async def intent_states(tx: Transaction) -> list[Row]:
    """Return id, account, state, order id and `how` of every intent."""
    return await tx.all(_STATES)


async def named_orders(tx: Transaction) -> set[tuple[str, str]]:
    """Return (account, order id) of the orders that incidents name, open or closed."""
    return {(row["account"], row["broker_order_id"]) for row in await tx.all(_NAMED)}
