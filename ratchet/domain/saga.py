"""What an entry does next, decided from its recorded intents alone, so that any pod can go on from any state.

A future has one leg, cut into slices where the exchange's freeze quantity asks for it. A synthetic future has two: the
protective call is bought first, then the put is sold for exactly the lots that the call has filled; what cannot be
matched is unwound. Source: docs/domain.md, section 8.4; docs/protocol.md, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.domain.instruments import Form
from ratchet.domain.orders import Intent, IntentState, Purpose
from ratchet.domain.refusals import Reason

SECOND_STEP = 100
"""`step` of a synthetic's put; the call's slices count from 0."""
UNWIND_STEP = 200
"""`step` of the orders that undo an unmatched call."""


@dataclass(frozen=True, slots=True)
class Drive:
    """Take this intent further: send it, resolve it, follow it."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Supersede:
    """This intent is not to be sent as it stands."""

    intent: Intent
    why: str


@dataclass(frozen=True, slots=True)
class Retry:
    """The broker refused the order for its rate only: plan the same again, after a pause."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Resize:
    """Plan the put for this many units: what the call has filled and no put covers yet."""

    like: Intent
    quantity: int


@dataclass(frozen=True, slots=True)
class Unwind:
    """Sell this many units of the call again."""

    like: Intent
    quantity: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Review:
    """A person must look before anything more is done."""

    why: str


@dataclass(frozen=True, slots=True)
class End:
    """All orders have ended. filled, wanted: units of exposure."""

    filled: int
    wanted: int


Step = Drive | Supersede | Retry | Resize | Unwind | Review | End


def next_step(intents: Sequence[Intent], *, form: Form, wanted: int, refused_tries: int, unwind_tries: int) -> Step:
    """Return the next step of an entry that wants `wanted` units.

    intents: in the order of step, attempt, leg. refused_tries: most new intents after a rate refusal; unwind_tries:
    most intents that try to undo an unmatched call before a person is asked.
    """
    review = next((i for i in intents if i.state is IntentState.REVIEW), None)
    if review is not None:
        return Review(f"{review.leg} is in review")
    started = next((i for i in intents if i.in_flight and i.state is not IntentState.PENDING), None)
    if started is not None:
        return Drive(started)
    first = [i for i in intents if i.purpose is Purpose.ENTRY and i.step < SECOND_STEP]
    step = _leg(first, refused_tries)
    if step is not None:
        return step
    if form is Form.FUTURE:
        return End(_filled(first), wanted)
    return _second_leg(intents, first, wanted, refused_tries, unwind_tries)


def _filled(intents: Sequence[Intent]) -> int:
    return sum(i.filled for i in intents)


def _leg(leg: Sequence[Intent], refused_tries: int) -> Step | None:
    """Return what one leg needs, or None if all of it has ended."""
    pending = next((i for i in leg if i.state is IntentState.PENDING), None)
    if pending is not None:
        before = [i for i in leg if i.step < pending.step and i.leg != pending.leg]
        if all(_latest(leg, i.leg).state is IntentState.FILLED for i in before):
            return Drive(pending)
        return Supersede(pending, "an earlier slice was not filled")
    refused = next((i for i in leg if _rate_refused(i) and _latest(leg, i.leg) is i), None)
    if refused is not None and refused.attempt <= refused_tries and _filled(leg) + refused.quantity <= _whole(leg):
        return Retry(refused)
    return None


def _whole(leg: Sequence[Intent]) -> int:
    return sum(_latest(leg, name).quantity for name in {i.leg for i in leg})


def _latest(leg: Sequence[Intent], name: str) -> Intent:
    return max((i for i in leg if i.leg == name), key=lambda i: i.attempt)


RATE_REFUSAL = "rate limited"
"""How an intent's `how` begins when the broker refused it for its rate alone."""


def _rate_refused(intent: Intent) -> bool:
    return intent.state is IntentState.REFUSED and (intent.how or "").startswith(RATE_REFUSAL)


def _second_leg(
    intents: Sequence[Intent], first: Sequence[Intent], wanted: int, refused_tries: int, unwind_tries: int
) -> Step:
    second = [i for i in intents if i.purpose is Purpose.ENTRY and i.step >= SECOND_STEP]
    undone = [i for i in intents if i.purpose is Purpose.UNWIND]
    lot = second[0].lot_size
    bought, sold = _filled(first), _filled(second)
    cover = bought // lot * lot  # odd units of the call can never be matched by whole lots of the put
    if not undone:
        pending = [i for i in second if i.state is IntentState.PENDING]
        open_units = sum(i.quantity for i in pending)
        if pending and sold + open_units != cover:
            return Supersede(pending[-1], "the call's filled quantity differs from what was planned")
        if not pending and sold < cover and _never_tried(second):
            return Resize(second[-1], cover - sold)
        step = _leg(second, refused_tries)
        if step is not None:
            return step
    excess = bought - sold - _filled(undone)
    if excess <= 0:
        return End(min(bought, sold), wanted)
    pending_unwind = next((i for i in undone if i.state is IntentState.PENDING), None)
    if pending_unwind is not None:
        return Drive(pending_unwind)
    if len(undone) >= unwind_tries:
        return Review(f"{excess} units of the call could not be undone")
    return Unwind(first[0], excess, len(undone) + 1)


def _never_tried(second: Sequence[Intent]) -> bool:
    """Whether every put so far was set aside for its size alone, so that one of the right size may be planned."""
    return all(
        i.state is IntentState.SUPERSEDED and (i.how or "").startswith("the call's filled quantity") for i in second
    )


_FAILURES = {
    IntentState.NOT_PLACED: Reason.NOT_PLACED,
    IntentState.REFUSED: Reason.BROKER_REFUSED,
    IntentState.REJECTED: Reason.BROKER_REJECTED,
    IntentState.CANCELLED: Reason.UNFILLED,
    IntentState.PARTIAL: Reason.UNFILLED,
}


def reason_of(end: End, intents: Sequence[Intent]) -> Reason:
    """Return the reason with which an entry ends."""
    if end.filled >= end.wanted:
        return Reason.FILLED
    if end.filled > 0:
        return Reason.PART_FILLED
    if any(i.purpose is Purpose.UNWIND for i in intents):
        return Reason.UNWOUND
    never_sent = next((i for i in intents if i.state in (IntentState.BLOCKED, IntentState.EXPIRED)), None)
    if never_sent is not None and not any(i.state in _FAILURES for i in intents):
        return Reason.STALE if never_sent.state is IntentState.EXPIRED else Reason.KILL_SWITCH
    superseded = next((i for i in intents if (i.how or "") == Reason.SUPERSEDED_BY_EXIT.code), None)
    if superseded is not None and not any(i.state in _FAILURES for i in intents):
        return Reason.SUPERSEDED_BY_EXIT
    failed = [i for i in intents if i.state in _FAILURES]
    return _FAILURES[failed[-1].state] if failed else Reason.UNFILLED
