"""Submit: from a PENDING intent to a recorded outcome of exactly one POST.

The order of steps is the protocol: read the baseline, get the permission (T3, committed), post once within the window,
record (T4). From the permission to the record nothing may be cancelled half-way, so that part runs shielded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, TypeVar

from ratchet.broken import Broken, is_broken
from ratchet.brokers.base import NotSent, Order, Outcome
from ratchet.domain.checks import Quote
from ratchet.domain.identity import IntentId
from ratchet.domain.orders import Intent
from ratchet.domain.refusals import Reason
from ratchet.execution import gatekeeper, record
from ratchet.execution.gatekeeper import Answer, Ended, NotNow, Permit
from ratchet.execution.markets import Markets, NoQuote
from ratchet.execution.turns import Again
from ratchet.failpoints import Failpoint, reach
from ratchet.observability import metrics
from ratchet.persistence.claims import Holder
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

T = TypeVar("T")

posting: set[IntentId] = set()
"""Intents whose POST or its record is under way in this process: until it is over nobody may take it for silent."""

PriceOf = Callable[[Quote], Decimal | None]
"""The limit of an order at a quote; None where the rules allow no price."""
Unquoted = Callable[[Decimal], Decimal]
"""The limit of an order that must go without a quote, from the last price known."""


async def submit(
    rt: Runtime,
    markets: Markets,
    claim: Holder,
    intent: Intent,
    *,
    price_of: PriceOf,
    opening: bool,
    unquoted: Unquoted | None = None,
) -> Again | Reason | None:
    """Send a PENDING intent. Returns None when its state changed, a Reason if it was ended unsent, Again to wait.

    opening: it is the first order of an entry. unquoted: the order may go without a quote, at this limit.
    Raises BrokerError and NoQuote if the baseline or price cannot be read, ClaimLost, PersistenceError.
    """
    baseline, quote = await _look(rt, markets, intent, just_seen=opening, may_lack=unquoted is not None)
    await reach(Failpoint.K6)
    price = price_of(quote) if quote is not None else await _without_quote(markets, intent, unquoted)
    if price is None:
        return Reason.UNFILLED
    match await shielded(_permitted(rt, claim, intent, baseline, price, opening=opening)):
        case NotNow(seconds, why):
            return Again(seconds, why)
        case Ended(reason):
            return reason
        case Permit():
            return None


async def _look(
    rt: Runtime, markets: Markets, intent: Intent, *, just_seen: bool, may_lack: bool
) -> tuple[list[str], Quote | None]:
    broker = rt.broker(intent.account)
    read = markets.quote_just_seen if just_seen else markets.quote

    async def quoted() -> Quote | None:
        try:
            return await read(intent.account, intent.exchange, intent.symbol)
        except NoQuote:
            if may_lack:
                return None
            raise

    async with asyncio.TaskGroup() as group:
        book = group.create_task(broker.book())
        quote = group.create_task(quoted())
    if is_broken(Broken.NO_BASELINE):
        return [], quote.result()
    return [order.order_id for order in book.result() if order.symbol == intent.symbol], quote.result()


async def _without_quote(markets: Markets, intent: Intent, unquoted: Unquoted | None) -> Decimal:
    """Return the protected limit of an order that must not wait for a quote. Raises NoQuote if no price is known."""
    last = None if unquoted is None else await markets.last_price(intent)
    if unquoted is None or last is None:
        raise NoQuote(f"no quote of {intent.symbol}, and no price of it is known")
    limit = unquoted(last)
    log.warning(
        "an exit goes without a quote",
        extra={"event": "exit_unquoted", "intent": str(intent.id), "last": str(last), "limit": str(limit)},
    )
    return limit


async def _permitted(
    rt: Runtime, claim: Holder, intent: Intent, baseline: list[str], price: Decimal, *, opening: bool
) -> Answer:
    """Ask for the permission and, with it, post and record."""
    posting.add(intent.id)
    try:
        if is_broken(Broken.NO_INTENT):
            return await _post_unwritten(rt, claim, intent, baseline, price, opening=opening)
        answer = await gatekeeper.permit(rt, claim, intent, baseline=baseline, price=price, opening=opening)
        if isinstance(answer, Permit):
            await _post_then_record(rt, claim, answer, price)
        return answer
    finally:
        posting.discard(intent.id)


async def _post_unwritten(
    rt: Runtime, claim: Holder, intent: Intent, baseline: list[str], price: Decimal, *, opening: bool
) -> Answer:
    """Post before anything durable says that an order may be out: for the broken build that must be caught."""
    outcome = await _post(rt, intent, price, rt.settings.broker.send_window_seconds)
    await reach(Failpoint.K10)
    answer = await gatekeeper.permit(rt, claim, intent, baseline=baseline, price=price, opening=opening)
    if isinstance(answer, Permit):
        await record.outcome(rt, claim, answer.intent, outcome)
    return answer


async def _post_then_record(rt: Runtime, claim: Holder, permit: Permit, price: Decimal) -> None:
    intent = permit.intent
    await reach(Failpoint.K8)
    left = permit.until - rt.clock.monotonic()
    if intent.signal_ts is not None:
        metrics.SEND_SECONDS.observe(max(0.0, (rt.clock.now() - intent.signal_ts).total_seconds()))
    outcome = await _post(rt, intent, price, left) if left > 0 else NotSent("the send window was missed")
    await reach(Failpoint.K10)
    log.info(
        "order sent",
        extra={
            "event": "order_sent",
            "intent": str(intent.id),
            "symbol": intent.symbol,
            "side": str(intent.side),
            "quantity": intent.quantity,
            "outcome": type(outcome).__name__,
        },
    )
    await record.outcome(rt, claim, intent, outcome)


async def _post(rt: Runtime, intent: Intent, price: Decimal, within: float) -> Outcome:
    order = Order(
        intent_id=intent.id,
        exchange=intent.exchange,
        symbol=intent.symbol,
        product=intent.product,
        side=intent.side,
        quantity=intent.quantity,
        price=price,
    )
    return await rt.broker(intent.account).place(order, within=within)


async def shielded(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end however often the caller is cancelled meanwhile; the cancellation is then raised."""
    task = asyncio.ensure_future(work)
    cut: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as cancelled:
            cut = cancelled
    if cut is not None:
        raise cut from task.exception()
    return task.result()
