"""A person decides: an incident is closed, its order gets the end that the broker told, its signal the end it deserves.

The only way out of review. What a person says is booked as an answer of the broker would be, in one transaction, and
journalled with the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from ratchet.domain.identity import BrokerOrderId, IntentId
from ratchet.domain.instruments import Form
from ratchet.domain.orders import BROKER_ENDS, Intent, IntentState
from ratchet.domain.signals import ENTRY_KINDS, TERMINAL, SignalStatus
from ratchet.execution import booking
from ratchet.execution.booking import Fill
from ratchet.persistence import claims, events, incidents, intents, lanes, layers, signals
from ratchet.persistence.audits import DECIDED
from ratchet.persistence.claims import Claim
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

REASON = "decided"
"""The reason of a signal whose end a person chose."""

ORDER_ENDS = frozenset(BROKER_ENDS | {IntentState.NOT_PLACED})
"""What a person may say of an order in review. Source: docs/protocol.md, section 3."""


class CannotDecide(Exception):
    """The decision does not fit the incident; nothing was changed. The message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person says.

    text: why, for the journal. order: the end of the order that is in review. filled: units in all, average: their
    price, where anything was filled. order_id: the broker's, where we know none and something was filled.
    signal: the end of the signal that is in review.
    """

    text: str
    by: str
    order: IntentState | None = None
    filled: int | None = None
    average: Decimal | None = None
    order_id: BrokerOrderId | None = None
    signal: SignalStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What followed: the states afterwards, None where there is nothing of the kind."""

    incident: UUID
    order: IntentState | None
    signal: SignalStatus | None


async def decide(rt: Runtime, incident_id: UUID, decision: Decision) -> Decided:
    """Close an incident, and end its order and its signal where they wait in review.

    Raises CannotDecide; PersistenceError with nothing changed.
    """

    async def work(tx: Transaction) -> Decided:
        incident = await incidents.get(tx, incident_id)
        if incident is None:
            raise CannotDecide(f"there is no incident {incident_id}")
        if incident["closed_at"] is not None:
            raise CannotDecide(f"it was decided already, by {incident['closed_by']}: {incident['decision']}")
        intent_id, signal_id = incident["intent_id"], incident["signal_id"]
        named = None if intent_id is None else await intents.get(tx, IntentId(intent_id))
        claim = await _signal(tx, incident["account"], named, signal_id)
        if claim is not None:
            await claims.status_for_update(tx, claim)
            await lanes.lock(tx, claim.account, claim.instrument)
        elif named is not None:
            await lanes.lock(tx, named.account, named.instrument)
        order = None if named is None else await _end_order(tx, rt, named, decision)
        if not await incidents.close(tx, incident_id, by=decision.by, decision=decision.text):
            raise CannotDecide("somebody else has just decided it")
        facts = {"decision": decision.text, "order": decision.order, "filled": decision.filled}
        await events.append(tx, stream=f"incident:{incident_id}", kind="decided", actor=decision.by, data=facts)
        signal = None if claim is None else await _end_signal(tx, rt, claim, decision)
        if claim is not None:
            await lanes.let_go_of_review(tx, claim.account, claim.instrument)
        return Decided(incident=incident_id, order=order, signal=signal)

    return await rt.db.run(work, name="decide")


async def _signal(tx: Transaction, account: str, intent: Intent | None, signal_id: UUID | None) -> Claim | None:
    if intent is not None:
        return await signals.by_fingerprint(tx, account, intent.origin)
    if signal_id is None:
        return None
    row = await signals.by_id(tx, signal_id)
    return None if row is None else await signals.by_fingerprint(tx, account, row["fingerprint"])


async def _end_order(tx: Transaction, rt: Runtime, named: Intent, decision: Decision) -> IntentState:
    intent = await intents.get(tx, named.id)  # again: its lane is locked only now
    if intent.state is not IntentState.REVIEW:
        if decision.order is not None:
            raise CannotDecide(f"the order is not in review, it is {intent.state}: leave out what became of it")
        return intent.state
    state = decision.order
    if state not in ORDER_ENDS:
        raise CannotDecide(f"the order is in review: say what became of it, one of {', '.join(sorted(ORDER_ENDS))}")
    filled = intent.quantity if state is IntentState.FILLED and decision.filled is None else decision.filled or 0
    _check_quantity(intent, state, filled, decision)
    if filled > intent.filled and decision.average is not None:
        intent = await booking.book(tx, rt, intent, Fill(filled=filled, average=decision.average))
    how = f"{DECIDED} {decision.by}: {decision.text}"
    if not await intents.to_end(tx, intent, state, how=how, order_id=decision.order_id):
        raise CannotDecide("somebody else has just ended the order")
    if decision.order_id is not None:
        named_as = f"it is the order of intent {intent.id}"
        await incidents.close_orphan(tx, intent.account, decision.order_id, by=decision.by, decision=named_as)
    await booking.release(tx, intent)
    await events.append(
        tx,
        stream=events.signal_stream(intent.account, intent.origin),
        kind=f"intent:{str(state).lower()}",
        actor=decision.by,
        data={"intent": str(intent.id), "leg": intent.leg, "attempt": intent.attempt, "filled": filled},
    )
    return state


def _check_quantity(intent: Intent, state: IntentState, filled: int, decision: Decision) -> None:
    known, given = intent.broker_order_id, decision.order_id
    if known is not None and given is not None and given != known:
        raise CannotDecide(f"order_id: the order is {known} at the broker, it cannot be {given}")
    if filled > 0 and known is None and given is None:
        raise CannotDecide("order_id: say which of the broker's orders it is that was filled")
    if state is IntentState.NOT_PLACED and (known or given) is not None:
        raise CannotDecide("order: an order that the broker has an id for was placed")
    if filled < intent.filled:
        raise CannotDecide(f"{intent.filled} units are booked already; what was filled cannot shrink to {filled}")
    if filled > intent.quantity:
        raise CannotDecide(f"the order was for {intent.quantity} units, {filled} cannot have been filled")
    if filled > intent.filled and (decision.average is None or decision.average <= 0):
        raise CannotDecide("say the average price of what was filled")
    whole = {IntentState.FILLED: filled == intent.quantity, IntentState.PARTIAL: 0 < filled < intent.quantity}
    if not whole.get(state, filled == 0):
        raise CannotDecide(f"{filled} of {intent.quantity} units do not make the order {state}")


async def _end_signal(tx: Transaction, rt: Runtime, claim: Claim, decision: Decision) -> SignalStatus:
    status = await claims.status_for_update(tx, claim)
    if status is not SignalStatus.REVIEW:
        if decision.signal is not None and status in TERMINAL:
            raise CannotDecide(f"the signal has ended as {status}, which never changes")
        return status
    waiting = [i for i in await intents.of_origin(tx, claim.account, claim.fingerprint) if not i.terminal]
    if waiting:
        return status  # another of its orders has an incident of its own, or is followed to its end
    if decision.signal not in TERMINAL:
        raise CannotDecide(f"the signal is in review: say how it ends, one of {', '.join(sorted(TERMINAL))}")
    if claim.kind in ENTRY_KINDS:
        await booking.settle_entry(tx, rt, claim.account, claim.instrument, claim.fingerprint)
        await _expose(tx, rt, claim, decision.by)
    else:
        await layers.let_go(tx, claim.account, claim.instrument, claim.fingerprint)
    facts = {"decision": decision.text}
    await signals.end(tx, claim, status=decision.signal, reason=REASON, actor=decision.by, detail=facts, by_person=True)
    return decision.signal


async def _expose(tx: Transaction, rt: Runtime, claim: Claim, by: str) -> None:
    """A synthetic that is left with a leg and no match keeps entries out until somebody has undone it."""
    layer = await layers.opened_by(tx, claim.account, claim.fingerprint)
    if layer is None or rt.instrument(layer.instrument).form is Form.FUTURE:
        return
    unmatched = sum(holding.quantity for holding in layer.holdings)
    if unmatched:
        await incidents.open_incident(
            tx,
            account=claim.account,
            kind="exposed",
            summary=f"{layer.name} of {layer.instrument} holds {unmatched} units of one leg without the other",
            actor=by,
            instrument=layer.instrument,
            signal_id=claim.id,
        )
