"""What an entry does next, decided from its recorded intents alone, so that any pod can go on from any state.

A future has one leg, cut into slices where the exchange's freeze quantity asks for it; a slice is planned when the one
before it has filled, since a contract and side take one order at a time. A synthetic future has two legs: the
protective call is bought first, then the put is sold for exactly the lots that the call has filled; what cannot be
matched is unwound. Source: docs/domain.md, section 8.4; docs/protocol.md, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile

from ratchet.domain.instruments import Form
from ratchet.domain.orders import NEVER_SENT, Intent, IntentState, Purpose
from ratchet.domain.refusals import BY_CODE, Reason
from ratchet.domain.resolving import ABSENT_BY_TIME

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
class More:
    """Plan the next part of a leg: its next slice, or a put of the size that the call has filled."""

    like: Intent
    leg: str
    step: int
    attempt: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Unwind:
    """Sell this many units of the call again. attempt: from 1."""

    like: Intent
    quantity: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Review:
    """A person must look before anything more is done. exposed: a call is held that no put covers or will cover."""

    why: str
    exposed: bool


@dataclass(frozen=True, slots=True)
class End:
    """All orders have ended. filled, wanted: units of exposure."""

    filled: int
    wanted: int


Step = Drive | Supersede | Retry | More | Unwind | Review | End


def next_step(intents: Sequence[Intent], *, form: Form, wanted: int, refused_tries: int, unwind_tries: int) -> Step:
    """Return the next step of an entry that wants `wanted` units.

    intents: in the order of step, attempt, leg. refused_tries: most new intents after a rate refusal; unwind_tries:
    most intents that try to undo an unmatched call before a person is asked.
    """
    started = next((i for i in intents if i.in_flight and i.state is not IntentState.PENDING), None)
    if started is not None:
        return Drive(started)
    review = next((i for i in intents if i.state is IntentState.REVIEW), None)
    if review is not None:
        return Review(f"{review.leg} is in review", exposed=review.step >= SECOND_STEP)
    first = [i for i in intents if i.purpose is Purpose.ENTRY and i.step < SECOND_STEP]
    step = _leg(first, wanted, refused_tries)
    if step is not None:
        return step
    if form is Form.FUTURE:
        return End(_filled(first), wanted)
    return _second_leg(intents, first, wanted, refused_tries, unwind_tries)


def _filled(intents: Sequence[Intent]) -> int:
    return sum(i.filled for i in intents)


def _leg(leg: Sequence[Intent], target: int, refused_tries: int) -> Step | None:
    """Return what a leg that shall fill `target` units needs, or None if all of it has ended."""
    latest = [_latest(leg, name) for name in dict.fromkeys(i.leg for i in leg)]
    refused = next((i for i in latest if _rate_refused(i)), None)
    if refused is not None and refused.attempt <= refused_tries:
        return Retry(refused)
    pending = next((i for i in leg if i.state is IntentState.PENDING), None)
    if pending is not None:
        return Drive(pending)
    missing = target - _filled(leg)
    if missing > 0 and all(i.state is IntentState.FILLED or _set_aside(i) for i in latest):
        return _more(latest, min(missing, max(i.quantity for i in leg)))
    return None


def _more(latest: Sequence[Intent], quantity: int) -> More:
    last = latest[-1]
    if _set_aside(last):
        return More(last, last.leg, last.step, last.attempt + 1, quantity)
    return More(last, f"{last.leg.partition('/')[0]}/{len(latest) + 1}", last.step + 1, 1, quantity)


def _latest(leg: Sequence[Intent], name: str) -> Intent:
    return max((i for i in leg if i.leg == name), key=lambda i: i.attempt)


_LONGEST_PAUSE = timedelta(seconds=8)
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
        pending = next((i for i in second if i.state is IntentState.PENDING), None)
        if pending is not None and sold + pending.quantity > cover:
            return Supersede(pending, _SET_ASIDE)
        step = _leg(second, cover, refused_tries)
        if step is not None:
            return step
    excess = bought - sold - _filled(undone)
    if excess <= 0:
        return End(min(bought, sold), wanted)
    pending_unwind = next((i for i in undone if i.state is IntentState.PENDING), None)
    if pending_unwind is not None:
        return Drive(pending_unwind)
    if any(i.state is IntentState.NOT_PLACED and (i.how or "").startswith(ABSENT_BY_TIME) for i in undone):
        return Review("the order that undoes the call is absent, but its sender may still write", exposed=True)
    if sum(i.state is not IntentState.FILLED for i in undone) >= unwind_tries:
        return Review(f"{excess} units of the call could not be undone", exposed=True)
    return Unwind(first[0], min(excess, max(i.quantity for i in first)), len(undone) + 1)


_SET_ASIDE = "the call's filled quantity differs from what was planned"


def _set_aside(intent: Intent) -> bool:
    """Whether a put was set aside for its size alone, so that one of the right size may be planned."""
    return intent.state is IntentState.SUPERSEDED and intent.how == _SET_ASIDE


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
    failed = [i for i in intents if i.state in _FAILURES]
    if failed:
        return _FAILURES[failed[-1].state]
    codes = (i.how for i in intents if i.state in NEVER_SENT)
    return next((BY_CODE[code] for code in codes if code in BY_CODE), Reason.UNFILLED)


def pause_after(tried: Sequence[Intent]) -> timedelta:
    """Return the pause before a closing leg's next attempt.

    An exit is never given up because the broker refuses the rate; it asks less often, up to every eight seconds.
    """
    latest_first = sorted(tried, key=lambda i: -i.attempt)
    refused = sum(1 for _ in takewhile(_rate_refused, latest_first))
    doublings = min(max(0, refused - 1), 10)
    return min(_LONGEST_PAUSE, timedelta(seconds=1 << doublings))
