"""What became of an order whose answer never came: from the broker's book to a verdict.

The promise: a doubt is resolved towards not sending. An order is bound only if it can be no other's, absence counts
only after nothing more can appear, and what remains goes to a person. Source: docs/protocol.md, section 6.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from ratchet.domain.orders import Intent, Side

SECOND_LOOK_SECONDS = 30.0
"""How long, past the deadline, a first look that counts may wait for its second before a person is asked."""

ABSENT = "absent from the broker's book"
"""How a NOT_PLACED intent's `how` begins if its sender was proven unable to write; an exit may then be sent again."""
ABSENT_BY_TIME = "absent by time alone"
"""The same where only time spoke: no exit is sent again on it."""

NEXT_LOOK_SECONDS = (1.0, 2.0, 4.0, 8.0)
LATER_LOOKS_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BookOrder:
    """One row of the broker's order book. quantity, filled: units; filled: None where the broker does not tell.

    status: the broker's word in lower case.
    """

    order_id: str
    symbol: str
    exchange: str
    product: str
    side: Side
    quantity: int
    status: str
    price: Decimal | None
    average_price: Decimal | None
    filled: int | None


def matches(intent: Intent, order: BookOrder) -> bool:
    """Tell whether `order` could be the one that `intent` sent: same terms, and not in its baseline.

    Price and price type are not compared: brokers rewrite them.
    """
    return (
        order.order_id not in intent.baseline
        and order.symbol == intent.symbol
        and order.exchange == intent.exchange
        and order.product == intent.product
        and order.side is intent.side
        and order.quantity == intent.quantity
    )


def candidates(intent: Intent, book: Iterable[BookOrder], bound: Set[str], in_incident: Set[str]) -> list[BookOrder]:
    """Return the orders that may be the intent's: those that match, less what is bound or in an incident."""
    return [
        order
        for order in book
        if matches(intent, order) and order.order_id not in bound and order.order_id not in in_incident
    ]


class Sender(StrEnum):
    """What is known of the process that sent an intent, and so whether it may still write."""

    RECORDED = "recorded"
    """It recorded the doubt itself: its call is over."""
    DEAD = "dead"
    """It is proven dead."""
    SILENT = "silent"
    """Nothing but time speaks for its silence."""
    ALIVE = "alive"
    """It runs and has not recorded an end of its call: it may yet."""


PROVEN = frozenset({Sender.RECORDED, Sender.DEAD})
"""Senders that can write no more, whatever the clocks say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietRules:
    """Bounds in seconds. Source: docs/protocol.md, section 12.

    send_window: from the permission to the first byte. pause_margin: the longest pause that a process is believed to
    suffer between testing the window and writing. drain_bound: from a write to the last moment an order of it may
    appear in the book (D). answered_bound: the same from an answer (A).
    """

    send_window: float
    pause_margin: float
    drain_bound: float
    answered_bound: float


def quiet(*, intent: Intent, now: datetime, sender: Sender, rules: QuietRules) -> datetime | None:
    """Return the instant from which a look at the book counts as evidence of absence; None if it has not come.

    It comes once the sender can write no more and what it wrote has drained. A sender that is silent without proof
    is given the pause margin before the drain begins; one that lives never counts as quiet.
    Source: docs/protocol.md, section 6, Q1 and Q2.
    """
    if intent.sent_at is None or sender is Sender.ALIVE:
        return None
    written_by = intent.sent_at + timedelta(seconds=rules.send_window)
    if sender not in PROVEN:
        written_by += timedelta(seconds=rules.pause_margin)
    if intent.answered_at is not None:
        since = intent.answered_at + timedelta(seconds=rules.answered_bound)
        if sender not in PROVEN:
            since = max(since, written_by)
    else:
        since = written_by + timedelta(seconds=rules.drain_bound)
    return since if since <= now else None


class Verdict(StrEnum):
    """What to do with an intent in doubt."""

    BIND = "bind"
    REVIEW = "review"
    NOT_PLACED = "not_placed"
    LOOK_AGAIN = "look_again"


def decide(
    *,
    found: Sequence[BookOrder],
    quiet_from: datetime | None,
    now: datetime,
    good_looks: Sequence[datetime],
    exclusive: bool,
    tainted: bool,
    position_agrees: bool,
    deadline_passed: bool,
    spacing_seconds: float = 2.0,
) -> Verdict:
    """Decide on an intent in doubt from what the book shows.

    found: its candidates. good_looks: when the book was read whole, on the same broker day, and showed none; a failed
    read is no look. exclusive: nobody else uses the account. tainted: an earlier absence on this slot was believed.
    position_agrees: the broker's position is what it would be without the order.

    Absence needs two looks, `spacing_seconds` apart, at or after `quiet_from`. The deadline sends the rest to a
    person, except that a first look that counts is given its second one: whoever takes over late would otherwise never
    prove anything. Source: docs/protocol.md, section 6.
    """
    if found:
        certain = len(found) == 1 and exclusive and not tainted
        return Verdict.BIND if certain else Verdict.REVIEW
    counted = [look for look in good_looks if quiet_from is not None and look >= quiet_from]
    spaced = bool(counted) and max(counted) - min(counted) >= timedelta(seconds=spacing_seconds)
    if spaced and position_agrees:
        return Verdict.NOT_PLACED
    second_to_come = bool(counted) and not spaced and now - min(counted) <= timedelta(seconds=SECOND_LOOK_SECONDS)
    return Verdict.REVIEW if deadline_passed and not second_to_come else Verdict.LOOK_AGAIN


def may_send_exit_again(sender: Sender, position_shows_quantity: bool) -> bool:
    """Tell whether an exit that was not placed may be sent again.

    Only if the sender is *proven* unable to write (time alone is no proof) and the broker still shows what is to be
    sold. An entry is never sent again. Source: docs/protocol.md, section 6.
    """
    return sender in PROVEN and position_shows_quantity


def next_look_seconds(looks: int) -> float:
    """Return the pause before the next look after `looks` of them: 1, 2, 4, 8, then 10 each."""
    return NEXT_LOOK_SECONDS[looks] if looks < len(NEXT_LOOK_SECONDS) else LATER_LOOKS_SECONDS
