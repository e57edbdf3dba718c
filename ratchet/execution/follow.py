"""Follow: a WORKING order is read until its end is sure; its price walks the ladder meanwhile.

The filled quantity comes from the trade book, summed by order id. A terminal word is believed when it is backed by
trades or read twice, since some brokers' words stray. Source: docs/protocol.md, section 3; docs/openalgo-api.md, 4.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ratchet.brokers.base import BrokerError, Order
from ratchet.domain.calendar import IST
from ratchet.domain.checks import Quote
from ratchet.domain.numbers import ZERO
from ratchet.domain.orders import Intent, IntentState
from ratchet.domain.resolving import BookOrder
from ratchet.execution import record
from ratchet.execution.booking import Fill
from ratchet.execution.markets import Markets
from ratchet.execution.turns import Again
from ratchet.failpoints import Failpoint, reach
from ratchet.persistence import control, intents
from ratchet.persistence.claims import Holder
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

LadderPrice = Callable[[int, Quote], Decimal | None]
"""The limit of rung n at a quote, or None where the ladder ends and the order is cancelled."""

_MODIFICATIONS = 24
"""Most moves of one order's price; brokers allow 25. Then it is cancelled, and an exit goes on with another order."""
_LAST_TRY = _MODIFICATIONS + 1
"""The number of the one move after the ladder's end; it says that the rest of a part-filled entry was tried again."""

_ENDS = {
    "complete": IntentState.FILLED,
    "cancelled": IntentState.CANCELLED,
    "rejected": IntentState.REJECTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What a part-filled order's rest is given where the ladder ends, before it is cancelled.

    seconds: how long it stands, counted from its last price. price: a last price, or None to leave it where it is.
    """

    seconds: float
    price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """How a working order is repriced. wait_seconds: between rungs; give_up: what has not filled is cancelled now.

    rest: what is done about the rest of a part-filled order at the end; None: it is cancelled.
    """

    price: LadderPrice
    wait_seconds: float
    give_up: bool = False
    rest: Rest | None = None


async def follow(rt: Runtime, markets: Markets, claim: Holder, intent: Intent, ladder: Ladder) -> Again | None:
    """Look once. Returns None when the intent ended, Again to look later. Raises BrokerError, PersistenceError."""
    await reach(Failpoint.K12)
    if intent.broker_order_id is None:
        await record.review(rt, claim, intent, why="a working order has no order id", kind="contradiction")
        return None
    order = await rt.broker(intent.account).order(intent.broker_order_id)
    fill = await _fill(rt, intent)
    if order is None:
        return await _missing(rt, claim, intent)
    end = _ENDS.get(order.status)
    if end is None:
        await _seen(rt, intent, None)
        if fill.filled > intent.filled:
            await record.filled(rt, claim, intent, fill, None, how="trade book")
        return await _walk(rt, markets, intent, ladder, filled=fill.filled)
    return await _ending(rt, claim, intent, order, fill, end)


async def _fill(rt: Runtime, intent: Intent) -> Fill:
    """Return what the trade book says of the order; never less than what is booked."""
    units, worth = 0, ZERO
    for trade in await rt.broker(intent.account).trades():
        if trade.order_id == intent.broker_order_id:
            units += trade.quantity
            worth += trade.quantity * trade.price
    if units <= intent.filled:
        return Fill(filled=intent.filled, average=intent.avg_price or ZERO)
    return Fill(filled=min(units, intent.quantity), average=worth / units)


async def _ending(
    rt: Runtime, claim: Holder, intent: Intent, order: BookOrder, fill: Fill, end: IntentState
) -> Again | None:
    poll = rt.settings.broker.poll_interval_seconds
    if end is IntentState.FILLED:
        if fill.filled == intent.quantity:
            await record.filled(rt, claim, intent, fill, IntentState.FILLED, how="complete, backed by trades")
            return None
        if fill.filled > intent.filled:
            await record.filled(rt, claim, intent, fill, None, how="trade book")
        return await _trades_lag(rt, claim, intent, fill)
    if intent.seen_end != order.status:
        await _seen(rt, intent, order.status)
        return Again(poll, f"{order.status} was read once")
    state: IntentState = end
    if fill.filled:
        state = IntentState.FILLED if fill.filled == intent.quantity else IntentState.PARTIAL
    await record.filled(rt, claim, intent, fill, state, how=f"{order.status}, read twice")
    return None


async def _trades_lag(rt: Runtime, claim: Holder, intent: Intent, fill: Fill) -> Again | None:
    """`complete` without its trades: they lag, or the book contradicts itself."""
    since = intent.sent_at
    bound = timedelta(seconds=rt.settings.broker.answered_bound_seconds + 10 * rt.settings.broker.poll_interval_seconds)
    if since is not None and await _now(rt) - since > bound:
        why = f"the order is complete, but only {fill.filled} of {intent.quantity} units were traded"
        await record.review(rt, claim, intent, why=why, kind="contradiction")
        return None
    return Again(rt.settings.broker.poll_interval_seconds, "the trade book lags behind the order book")


async def _missing(rt: Runtime, claim: Holder, intent: Intent) -> Again | None:
    """The broker does not know an order that it named: its book lags, or its day is over."""
    today = rt.clock.now().astimezone(IST).date()
    late = intent.sent_at is not None and await _now(rt) - intent.sent_at > timedelta(
        seconds=rt.settings.broker.drain_bound_seconds
    )
    if intent.broker_day != today or late:
        why = f"the broker does not know order {intent.broker_order_id} any more"
        await record.review(rt, claim, intent, why=why, kind="contradiction")
        return None
    return Again(rt.settings.broker.poll_interval_seconds, "the order is not in the broker's book yet")


async def _walk(rt: Runtime, markets: Markets, intent: Intent, ladder: Ladder, *, filled: int) -> Again:
    """Move the price to its next rung when it is time, or ask for the cancel that ends the ladder."""
    poll = rt.settings.broker.poll_interval_seconds
    if intent.cancel_at is not None:
        await _cancel(rt, intent)
        return Again(poll, "a cancel was asked for")
    if ladder.give_up:
        await _ask_cancel(rt, intent)
        await _cancel(rt, intent)
        return Again(poll, "the order is not wanted any more")
    now = await _now(rt)
    stood = now - (intent.rung_at or intent.sent_at or now)
    if stood < timedelta(seconds=ladder.wait_seconds):
        return Again(poll, "the order is working")
    quote = await markets.quote(intent.account, intent.exchange, intent.symbol)
    price = ladder.price(intent.rungs + 1, quote) if intent.rungs < _MODIFICATIONS else None
    if price is not None:
        await _reprice(rt, intent, price, rungs=intent.rungs + 1)
        return Again(poll, f"repriced to {price}")
    rest = ladder.rest if filled else None
    if rest is not None and rest.price is not None and intent.rungs < _LAST_TRY:
        await _reprice(rt, intent, rest.price, rungs=_LAST_TRY)
        return Again(poll, f"the rest is tried once more, at {rest.price}")
    if rest is not None and stood < timedelta(seconds=rest.seconds):
        return Again(poll, "the rest may still fill")
    await _ask_cancel(rt, intent)
    await _cancel(rt, intent)
    return Again(poll, "the ladder has ended")


async def _reprice(rt: Runtime, intent: Intent, price: Decimal, *, rungs: int) -> None:
    if not await _token(rt, intent):
        return

    async def work(tx: Transaction) -> bool:
        return await intents.move_rung(tx, intent, rungs=rungs, price=price)

    if not await rt.db.run(work, name="rung") or intent.broker_order_id is None or price == intent.price:
        return
    order = Order(
        intent_id=intent.id,
        exchange=intent.exchange,
        symbol=intent.symbol,
        product=intent.product,
        side=intent.side,
        quantity=intent.quantity,
        price=price,
    )
    try:
        await rt.broker(intent.account).modify(intent.broker_order_id, order)
    except BrokerError as error:  # the order's status is read again in any case
        log.info("modify without effect", extra={"event": "modify_failed", "intent": str(intent.id), "why": str(error)})


async def _ask_cancel(rt: Runtime, intent: Intent) -> None:
    async def work(tx: Transaction) -> None:
        await intents.ask_cancel(tx, intent)

    await rt.db.run(work, name="ask-cancel")


async def _cancel(rt: Runtime, intent: Intent) -> None:
    """Ask for the cancel; may be repeated, its effect is read from the order's status."""
    if intent.broker_order_id is None or not await _token(rt, intent):
        return
    try:
        await rt.broker(intent.account).cancel(intent.broker_order_id)
    except BrokerError as error:
        log.info("cancel without effect", extra={"event": "cancel_failed", "intent": str(intent.id), "why": str(error)})


async def _token(rt: Runtime, intent: Intent) -> bool:
    budget = rt.settings.broker

    async def work(tx: Transaction) -> bool:
        return await control.take_token(
            tx, intent.account, per_second=budget.orders_per_second, per_minute=budget.orders_per_minute
        )

    return await rt.db.run(work, name="budget")


async def _seen(rt: Runtime, intent: Intent, status: str | None) -> None:
    if intent.seen_end == status:
        return

    async def work(tx: Transaction) -> None:
        await intents.see_end(tx, intent, status)

    await rt.db.run(work, name="seen-end")


async def _now(rt: Runtime) -> datetime:
    async with rt.db.single(name="now") as tx:
        return await tx.now()
