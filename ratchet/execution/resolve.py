"""Resolve: an order was perhaps sent and nobody knows what became of it. The broker's book is the only witness.

One look a turn: it binds the order, proves its absence, goes to a person, or waits for the next look. Source:
docs/protocol.md, section 6.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ratchet.brokers.base import BrokerError
from ratchet.domain.calendar import IST
from ratchet.domain.identity import BrokerOrderId
from ratchet.domain.orders import Intent, IntentState
from ratchet.domain.resolving import (
    ABSENT,
    ABSENT_BY_TIME,
    BookOrder,
    QuietRules,
    Sender,
    Verdict,
    candidates,
    decide,
    may_send_exit_again,
    quiet,
)
from ratchet.execution import pressing, record
from ratchet.execution.markets import Markets
from ratchet.execution.record import NULL_ORDER_ID
from ratchet.execution.submit import posting
from ratchet.execution.turns import Again
from ratchet.observability import metrics
from ratchet.persistence import incidents, instances, intents, layers
from ratchet.persistence.claims import Holder
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """What the database says about an intent in doubt."""

    now: datetime
    intent: Intent
    sender: Sender
    bound: set[str]
    named: set[str]
    tainted: bool
    held: Mapping[str, int]


async def resolve(rt: Runtime, markets: Markets, claim: Holder, intent: Intent) -> Again | None:
    """Take one look. Returns None if the intent's state changed, Again to wait for the next look.

    Raises PersistenceError. A broker that cannot be read gives no evidence.
    """
    evidence = await _evidence(rt, intent)
    if evidence.intent.state is not intent.state:
        return None
    if pressing.day_is_over(markets, evidence.intent):
        await record.review(rt, claim, evidence.intent, why="the broker's day on which the order was sent is over")
        return None
    try:
        book = await rt.broker(intent.account).book()
    except BrokerError as error:
        return await _no_evidence(rt, markets, claim, evidence, str(error))
    found = candidates(evidence.intent, book, evidence.bound, evidence.named)
    return await _settle(rt, markets, claim, evidence, found)


async def _settle(
    rt: Runtime, markets: Markets, claim: Holder, evidence: _Evidence, found: Sequence[BookOrder]
) -> Again | None:
    intent, now, settings = evidence.intent, evidence.now, rt.settings.broker
    quiet_from = quiet(intent=intent, now=now, sender=evidence.sender, rules=_rules(rt))
    good = intent.good_looks if found else (*intent.good_looks, now)[-20:]
    verdict = decide(
        found=found,
        quiet_from=quiet_from,
        now=now,
        good_looks=good,
        exclusive=settings.exclusive_account and rt.portfolio.accounts[intent.account].exclusive,
        tainted=evidence.tainted,
        position_agrees=True,
        deadline_passed=_deadline_passed(rt, intent, now),
        spacing_seconds=settings.absence_reads_gap_seconds,
    )
    if verdict is not Verdict.LOOK_AGAIN:
        metrics.RESOLUTIONS.labels(str(verdict)).inc()
        if intent.sent_at is not None:
            metrics.UNKNOWN_SECONDS.observe(max(0.0, (now - intent.sent_at).total_seconds()))
    match verdict:
        case Verdict.BIND:
            await record.working(rt, claim, intent, BrokerOrderId(found[0].order_id), how="found in the book")
            return None
        case Verdict.REVIEW:
            await record.review(rt, claim, intent, why=_why(found))
            return None
        case Verdict.NOT_PLACED:
            return await _absent(rt, markets, claim, evidence, good)
        case Verdict.LOOK_AGAIN:
            return await _wait(rt, markets, claim, evidence, good, "the order is not in the book yet")


async def _wait(
    rt: Runtime, markets: Markets, claim: Holder, evidence: _Evidence, good: tuple[datetime, ...], why: str
) -> Again | None:
    """The look has settled nothing: it is written down, and another one follows, unless the broker's day ends."""
    intent = evidence.intent
    ends = await pressing.day_ends(rt, markets, intent, evidence.now)
    if ends is not None:
        await record.review(rt, claim, intent, why=ends)
        return None
    await record.looked(rt, claim, intent, good)
    await pressing.page(rt, intent, evidence.now)
    return Again(_pause(rt, intent), why)


async def _absent(
    rt: Runtime, markets: Markets, claim: Holder, evidence: _Evidence, good: tuple[datetime, ...]
) -> Again | None:
    """The book shows nothing; the position must agree before that is believed."""
    intent = evidence.intent
    try:
        theirs = (await rt.broker(intent.account).positions()).get((intent.exchange, intent.symbol), 0)
    except BrokerError as error:
        return await _no_evidence(rt, markets, claim, evidence, str(error))
    if theirs != evidence.held.get(intent.symbol, 0):
        if _deadline_passed(rt, intent, evidence.now):
            await record.review(rt, claim, intent, why="no order in the book, and the broker's position differs")
            return None
        return await _wait(rt, markets, claim, evidence, good, "the broker's position does not agree yet")
    if (intent.how or "").startswith(NULL_ORDER_ID):
        await record.ended(rt, claim, intent, IntentState.REFUSED, how="no order id, and none in the book")
    else:
        proven = may_send_exit_again(evidence.sender, position_shows_quantity=True)
        await record.ended(rt, claim, intent, IntentState.NOT_PLACED, how=ABSENT if proven else ABSENT_BY_TIME)
    return None


async def _no_evidence(rt: Runtime, markets: Markets, claim: Holder, evidence: _Evidence, why: str) -> Again | None:
    if _deadline_passed(rt, evidence.intent, evidence.now) and evidence.intent.looks > 2:
        await record.review(rt, claim, evidence.intent, why=f"the broker's book cannot be read: {why}")
        return None
    looks = evidence.intent.good_looks
    return await _wait(rt, markets, claim, evidence, looks, "the broker's book cannot be read")


async def _evidence(rt: Runtime, intent: Intent) -> _Evidence:
    today = rt.clock.now().astimezone(IST).date()

    async def work(tx: Transaction) -> _Evidence:
        fresh = await intents.get(tx, intent.id)
        held: dict[str, int] = {}
        for layer in await layers.live_of_account(tx, intent.account):
            for holding in layer.holdings:
                held[holding.symbol] = held.get(holding.symbol, 0) + holding.quantity
        return _Evidence(
            now=await tx.now(),
            intent=fresh,
            sender=await _sender(tx, rt, fresh),
            bound=await intents.bound_orders(tx, intent.account, today),
            named=await incidents.named_orders(tx, intent.account),
            tainted=await intents.slot_tainted(tx, fresh, fresh.broker_day or today),
            held=held,
        )

    return await rt.db.run(work, name="evidence")


async def _sender(tx: Transaction, rt: Runtime, intent: Intent) -> Sender:
    """Tell what is known of the process that sent the intent."""
    if intent.state is IntentState.UNKNOWN:
        return Sender.RECORDED
    if intent.sender == rt.boot_id:
        return Sender.ALIVE if intent.id in posting else Sender.RECORDED  # this process knows its own calls
    sender = None if intent.sender is None else await instances.get(tx, intent.sender)
    if sender is None:
        return Sender.SILENT
    if sender.stopped_at is not None:
        return Sender.DEAD
    if sender.lock_file is not None and sender.host == os.uname().nodename and lock_is_free(str(sender.lock_file)):
        await instances.stop(tx, intent.sender or "")
        return Sender.DEAD
    return Sender.SILENT


def lock_is_free(path: str) -> bool:
    """Whether nobody holds the lock on a file that a process locks at its start and its death alone lets go.

    A file that is missing or cannot be opened proves nothing. Source: docs/protocol.md, section 6, Q1.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _rules(rt: Runtime) -> QuietRules:
    broker = rt.settings.broker
    return QuietRules(
        send_window=broker.send_window_seconds,
        pause_margin=broker.pause_margin_seconds,
        drain_bound=broker.drain_bound_seconds,
        answered_bound=broker.answered_bound_seconds,
    )


def _deadline_passed(rt: Runtime, intent: Intent, now: datetime) -> bool:
    bound = rt.settings.broker.drain_bound_seconds + rt.settings.execution.review_margin_seconds
    return intent.sent_at is not None and now - intent.sent_at > timedelta(seconds=bound)


def _pause(rt: Runtime, intent: Intent) -> float:
    schedule = rt.settings.broker.lookup_schedule_seconds
    return schedule[min(intent.looks, len(schedule) - 1)]


def _why(found: Sequence[BookOrder]) -> str:
    if not found:
        return "the order is unknown past its deadline"
    ids = ", ".join(order.order_id for order in found)
    return f"orders that may be this one and cannot be told apart from others': {ids}"
