"""What cannot wait: an order in doubt when its broker's day ends, and an exit in doubt that a person must know of.

Source: docs/protocol.md, section 6.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from ratchet.brokers.base import BrokerError
from ratchet.domain.calendar import IST
from ratchet.domain.orders import Intent
from ratchet.execution.markets import Markets, never_closes
from ratchet.observability import metrics
from ratchet.persistence import events, lanes
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

PAGED = "intent:exit_unknown"
"""The event that says that a person was called for an exit in doubt."""


def day_is_over(markets: Markets, intent: Intent) -> bool:
    """Whether the broker's books have rolled over since the order was sent: they prove nothing about it any more."""
    return intent.broker_day is not None and intent.broker_day < markets.today()


async def day_ends(rt: Runtime, markets: Markets, intent: Intent, now: datetime) -> str | None:
    """Return why an order in doubt must go to a person before the broker's books roll over; None while it may wait.

    now: by the database. The usual lag of the book is waited for even then. An exchange that never closes has no end.
    """
    try:
        close = await markets.day_close(intent.account, intent.exchange)
    except BrokerError:
        return None
    if close is None or never_closes(close):
        return None
    settings = rt.settings.broker
    lagging = intent.sent_at is not None and now - intent.sent_at < timedelta(seconds=settings.answered_bound_seconds)
    if lagging or rt.clock.now() < close - timedelta(seconds=settings.day_end_margin_seconds):
        return None
    return f"the order is still unknown, and {intent.exchange} closes at {close.astimezone(IST):%H:%M} IST"


async def page(rt: Runtime, intent: Intent, now: datetime) -> None:
    """Call a person, once for each exit's order that has been unknown for long. Raises PersistenceError.

    now: by the database. The slot stays open: nothing is known to be wrong yet.
    """
    if intent.purpose.opens or intent.sent_at is None:
        return
    unknown = now - intent.sent_at
    if unknown < timedelta(seconds=rt.settings.execution.exit_page_seconds):
        return
    stream = events.signal_stream(intent.account, intent.origin)

    async def work(tx: Transaction) -> bool:
        await lanes.lock(tx, intent.account, intent.instrument)
        if any(data["intent"] == str(intent.id) for data in await events.data_of(tx, stream, PAGED)):
            return False
        facts = {"intent": str(intent.id), "seconds": int(unknown.total_seconds())}
        await events.append(tx, stream=stream, kind=PAGED, actor=rt.boot_id, data=facts)
        return True

    if await rt.db.run(work, name="page"):
        metrics.EXITS_UNKNOWN.inc()
        facts = {"event": "exit_unknown", "intent": str(intent.id), "account": intent.account, "symbol": intent.symbol}
        log.error("an exit's order has been unknown for %d s", unknown.total_seconds(), extra=facts)
