"""Order intents: the durable will to place one order, and the one table of what may become of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from ratchet.domain.identity import AccountId, BrokerOrderId, IntentId, PositionId
from ratchet.domain.numbers import ZERO
from ratchet.domain.signals import ImpossibleTransition


class Side(StrEnum):
    """An order's side."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """The side that undoes this one."""
        return Side.SELL if self is Side.BUY else Side.BUY


class Purpose(StrEnum):
    """Why an order is sent: it decides which gates stand before it."""

    ENTRY = "entry"  # opens or adds to a layer
    EXIT = "exit"  # closes layers, or peels lots off one
    UNWIND = "unwind"  # undoes the first leg of an entry whose second leg failed
    ROLL_CLOSE = "roll_close"
    ROLL_OPEN = "roll_open"

    @property
    def opens(self) -> bool:
        """Whether the order adds to what is open."""
        return self in (Purpose.ENTRY, Purpose.ROLL_OPEN)


class IntentState(StrEnum):
    """Source: docs/protocol.md, section 3."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    WORKING = "WORKING"
    REVIEW = "REVIEW"
    FILLED = "FILLED"
    PARTIAL = "PARTIAL"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    REFUSED = "REFUSED"
    NOT_PLACED = "NOT_PLACED"
    SUPERSEDED = "SUPERSEDED"
    BLOCKED = "BLOCKED"
    EXPIRED = "EXPIRED"


S = IntentState

IN_FLIGHT = frozenset({S.PENDING, S.SENDING, S.UNKNOWN, S.WORKING})
"""States that hold the slot of (account, exchange, symbol, product, side)."""

MAYBE_SENT = frozenset({S.SENDING, S.UNKNOWN})
"""Nobody knows yet whether the broker has an order."""

BROKER_ENDS = frozenset({S.FILLED, S.PARTIAL, S.CANCELLED, S.REJECTED})
NEVER_SENT = frozenset({S.SUPERSEDED, S.BLOCKED, S.EXPIRED})
TERMINAL = BROKER_ENDS | NEVER_SENT | {S.REFUSED, S.NOT_PLACED}

NEXT: Mapping[IntentState, frozenset[IntentState]] = {
    S.PENDING: frozenset({S.SENDING, S.REVIEW}) | NEVER_SENT,
    # back to PENDING only by the sender that knows that no byte was written
    S.SENDING: frozenset({S.PENDING, S.UNKNOWN, S.WORKING, S.REFUSED, S.NOT_PLACED, S.REVIEW}) | BROKER_ENDS,
    S.UNKNOWN: frozenset({S.WORKING, S.REFUSED, S.NOT_PLACED, S.REVIEW}) | BROKER_ENDS,
    S.WORKING: frozenset({S.REVIEW}) | BROKER_ENDS,
    S.REVIEW: frozenset({S.NOT_PLACED}) | BROKER_ENDS,  # by a person, with the incident's decision
    **{state: frozenset() for state in TERMINAL},
}


def advance(before: IntentState, after: IntentState) -> IntentState:
    """Return `after` if the table allows it. Raises ImpossibleTransition otherwise."""
    if after not in NEXT[before]:
        raise ImpossibleTransition("order intent", before, after)
    return after


def sources_of(after: IntentState) -> frozenset[IntentState]:
    """Return the states from which `after` may be reached: the guard of a compare-and-set."""
    return frozenset(before for before, nexts in NEXT.items() if after in nexts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What at most one in-flight order may occupy. Source: docs/protocol.md, section 2 (slot)."""

    account: AccountId
    exchange: str
    symbol: str
    product: str
    side: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One order that we mean to place.

    origin: the signal's fingerprint or the rollover's id. leg: `fut`, `ce`, `pe`, `close:<symbol>`, `peel-<layer>:…`,
    `unwind:…`, with `/n` for slices. attempt: from 1. step: the order of legs within a plan, from 0.
    quantity, filled: units (lots x the contract's lot size). price: the limit; reserved: rupees of margin held for it.
    targets: the positions that a fill of this intent closes or opens, newest layer first.
    baseline: the order ids of the symbol that the broker's book showed before the send.
    answered_at: when the broker's answer came, if one came. cancel_at: when we asked the broker to cancel it.
    good_looks: good reads of the book that showed no candidate. seen_end: a terminal status read once.
    rungs, rung_at: how often and when the price was moved.
    """

    id: IntentId
    account: AccountId
    instrument: str
    origin: str
    signal_ts: datetime | None
    purpose: Purpose
    leg: str
    step: int
    attempt: int
    exchange: str
    symbol: str
    product: str
    side: Side
    quantity: int
    lot_size: int
    tick: Decimal
    price: Decimal | None
    state: IntentState
    targets: tuple[PositionId, ...] = ()
    reserved: Decimal = ZERO
    filled: int = 0
    avg_price: Decimal | None = None
    baseline: tuple[str, ...] = field(default=())
    broker_order_id: BrokerOrderId | None = None
    broker_day: date | None = None
    sender: str | None = None
    epoch: int | None = None
    created_at: datetime
    sent_at: datetime | None = None
    answered_at: datetime | None = None
    terminal_at: datetime | None = None
    looks: int = 0
    good_looks: tuple[datetime, ...] = ()
    rungs: int = 0
    rung_at: datetime | None = None
    cancel_at: datetime | None = None
    seen_end: str | None = None
    how: str | None = None

    @property
    def slot(self) -> Slot:
        """The slot that this intent occupies while it is in flight."""
        return Slot(
            account=self.account, exchange=self.exchange, symbol=self.symbol, product=self.product, side=self.side
        )

    @property
    def in_flight(self) -> bool:
        """Whether it holds its slot."""
        return self.state in IN_FLIGHT

    @property
    def terminal(self) -> bool:
        """Whether it can change no more."""
        return self.state in TERMINAL

    @property
    def remaining(self) -> int:
        """Units not filled."""
        return self.quantity - self.filled
