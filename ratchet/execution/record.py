"""T4, T6 and T7: what we have learnt about an intent, written down once with all that follows from it.

Not fenced by the claim's epoch: an answer is evidence about its intent, whoever owns the signal now. Every change is a
compare-and-set along the transition table, so that running any of these again is a no-op.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from ratchet.brokers.base import Accepted, Ambiguous, NotSent, Outcome, RefusalKind, Refused
from ratchet.domain.identity import BrokerOrderId
from ratchet.domain.orders import NEXT, Intent, IntentState
from ratchet.domain.saga import RATE_REFUSAL
from ratchet.execution import booking
from ratchet.execution.booking import Fill
from ratchet.failpoints import Failpoint, reach
from ratchet.observability import metrics
from ratchet.persistence import control, events, incidents, intents, lanes
from ratchet.persistence.claims import Holder
from ratchet.persistence.transaction import Transaction, Write
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

NULL_ORDER_ID = "answered without an order id"
"""How an intent's `how` begins when the broker said yes and named no order: with none in the book, a refusal."""


async def outcome(rt: Runtime, claim: Holder, intent: Intent, result: Outcome) -> None:
    """Record what a placement's call came to."""
    match result:
        case Accepted(order_id):
            await working(rt, claim, intent, order_id, how="answered")
        case Refused(kind, text):
            how = f"{RATE_REFUSAL}: {text}" if kind is RefusalKind.RATE_LIMITED else text
            await ended(rt, claim, intent, IntentState.REFUSED, how=how)
            if kind is RefusalKind.SESSION_GONE:
                await stop_sending(rt, intent.account, "the broker's session is gone (403)", exits_too=True)
        case NotSent(cause):
            await _not_sent(rt, claim, intent, cause)
        case Ambiguous():
            await _ambiguous(rt, claim, intent, result)


async def working(rt: Runtime, claim: Holder, intent: Intent, order_id: BrokerOrderId, *, how: str) -> None:
    """Bind the broker's order to the intent."""

    async def work(tx: Transaction, fresh: Intent) -> None:
        if IntentState.WORKING not in NEXT[fresh.state]:
            await _contradiction(tx, rt, fresh, order_id)
            return
        await tx.change(
            intents.binding(tx, fresh, order_id=order_id, how=how),
            _saying(tx, rt, intent, "working", {"order": order_id, "how": how}),
        )

    await _locked(rt, claim, intent, work)


async def ended(rt: Runtime, claim: Holder, intent: Intent, state: IntentState, *, how: str) -> None:
    """End the intent, and give back what it still reserves."""

    async def work(tx: Transaction, fresh: Intent) -> None:
        if state in NEXT[fresh.state]:
            await booking.release(tx, fresh)
            await tx.change(
                intents.ending(tx, fresh, state, how=how),
                _saying(tx, rt, intent, str(state).lower(), {"how": how[:200], "filled": fresh.filled}),
            )

    await _locked(rt, claim, intent, work)


async def filled(rt: Runtime, claim: Holder, intent: Intent, fill: Fill, end: IntentState | None, *, how: str) -> None:
    """Book what the broker has filled, and end the intent if `end` says that nothing more will come."""
    await reach(Failpoint.K14)

    async def work(tx: Transaction, fresh: Intent) -> None:
        booked = await booking.book(tx, rt, fresh, fill)
        changes: list[Write] = []
        if booked.filled > fresh.filled:
            facts = {"filled": booked.filled, "of": booked.quantity, "average": str(booked.avg_price)}
            changes.append(_saying(tx, rt, intent, "filled", facts))
        if end is not None and end in NEXT[booked.state]:
            await booking.release(tx, booked)
            facts = {"how": how, "filled": booked.filled}
            changes.append(_saying(tx, rt, intent, str(end).lower(), facts, ahead=len(changes)))
            changes.append(intents.ending(tx, booked, end, how=how))
            _observe_fill(tx, rt, intent, end)
        await tx.change(*changes)

    await _locked(rt, claim, intent, work)


def _observe_fill(tx: Transaction, rt: Runtime, intent: Intent, end: IntentState) -> None:
    if end is IntentState.FILLED and intent.sent_at is not None:
        took = max(0.0, (rt.clock.now() - intent.sent_at).total_seconds())
        tx.after_commit.append(lambda: metrics.FILL_SECONDS.observe(took))


async def review(rt: Runtime, claim: Holder, intent: Intent, *, why: str, kind: str = "unresolved") -> None:
    """Leave the intent, and its lane's entries, to a person."""

    async def work(tx: Transaction, _: Intent) -> None:
        if await intents.to_review(tx, intent, how=why):
            await incidents.open_for_intent(tx, intent, kind=kind, summary=why, actor=rt.boot_id)
            await lanes.hold(tx, intent.account, intent.instrument, reason="review", ref=intent.origin)
            await tx.change(_saying(tx, rt, intent, "review", {"why": why}))

    await _locked(rt, claim, intent, work)
    log.error("an order needs a person", extra={"event": "intent_review", "intent": str(intent.id), "why": why})


async def looked(rt: Runtime, claim: Holder, intent: Intent, good_looks: tuple[datetime, ...]) -> None:
    """Write down a look at the book that settled nothing."""

    async def work(tx: Transaction, _: Intent) -> None:
        await intents.looked(tx, intent, good_looks)

    await _locked(rt, claim, intent, work)


async def stop_sending(rt: Runtime, account: str, why: str, *, exits_too: bool = False) -> None:
    """Pull the kill switch for entries (and exits) by ourselves, and open the incident that says why."""

    async def work(tx: Transaction) -> None:
        switches = await control.read(tx)
        exits_on = switches.exits_on and not exits_too
        if switches.entries_on or switches.exits_on != exits_on:
            await control.switch(tx, entries_on=False, exits_on=exits_on, reason=why, actor=rt.boot_id)
        await incidents.open_incident(tx, account=account, kind="kill_switch", summary=why, actor=rt.boot_id)

    await rt.db.run(work, name="stop-sending")
    log.error("sending was stopped", extra={"event": "kill_switch", "account": account, "why": why})


async def _not_sent(rt: Runtime, claim: Holder, intent: Intent, cause: str) -> None:
    async def work(tx: Transaction, _: Intent) -> None:
        if await intents.take_back(tx, intent, sender=rt.boot_id, epoch=intent.epoch or 0, how=cause):
            await tx.change(_saying(tx, rt, intent, "not_sent", {"cause": cause[:200]}))

    await _locked(rt, claim, intent, work)


async def _ambiguous(rt: Runtime, claim: Holder, intent: Intent, result: Ambiguous) -> None:
    how = f"{NULL_ORDER_ID}: {result.cause}" if result.null_order_id else result.cause

    async def work(tx: Transaction, _: Intent) -> None:
        answered_at = await tx.now() if result.answered else None
        if await intents.to_unknown(tx, intent, answered_at=answered_at, how=how):
            await tx.change(_saying(tx, rt, intent, "unknown", {"answered": result.answered, "cause": how[:200]}))

    await _locked(rt, claim, intent, work)
    if result.misconfigured:
        await stop_sending(rt, intent.account, f"the broker is not set up as configured: {result.cause}")
        await review(rt, claim, intent, why=result.cause, kind="misconfigured")


Work = Callable[[Transaction, Intent], Awaitable[None]]
"""What is written down under the locks, about the intent as it is then."""


async def _locked(rt: Runtime, claim: Holder, intent: Intent, work: Work) -> None:
    async def under_locks(tx: Transaction) -> None:
        await work(tx, await claim.lock(tx, intent))

    await rt.db.run(under_locks, name="t4", commit_in_doubt=lambda: reach(Failpoint.K11))


async def _contradiction(tx: Transaction, rt: Runtime, intent: Intent, order_id: BrokerOrderId) -> None:
    """The row is past waiting for an answer: fine if it names the same order, an incident if it does not."""
    if intent.broker_order_id == order_id:
        return
    known = intent.broker_order_id or "no order"
    await incidents.open_incident(
        tx,
        account=intent.account,
        kind="orphan",
        summary=f"order {order_id} answers an intent that is {intent.state} with {known}",
        actor=rt.boot_id,
        instrument=intent.instrument,
        exchange=intent.exchange,
        symbol=intent.symbol,
        side=str(intent.side),
        broker_order_id=order_id,
        intent_id=intent.id,
    )


def _saying(
    tx: Transaction, rt: Runtime, intent: Intent, kind: str, data: dict[str, object], *, ahead: int = 0
) -> Write:
    facts = {"intent": str(intent.id), "leg": intent.leg, "attempt": intent.attempt, **data}
    return events.appending(
        tx,
        stream=events.signal_stream(intent.account, intent.origin),
        kind=f"intent:{kind}",
        actor=rt.boot_id,
        data=facts,
        ahead=ahead,
    )
