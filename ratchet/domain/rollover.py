"""Rollover: when a layer must leave its contract, the steps of leaving it, and the one table of its states.

A roll closes the old contract and opens the new one, the protective leg first each time. Every decision is made from
the recorded intents alone, so that any later leader goes on where an earlier one stopped. Source: docs/domain.md,
section 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from ratchet.domain.orders import Intent, IntentState, Purpose
from ratchet.domain.positions import Layer
from ratchet.domain.resolving import ABSENT_BY_TIME
from ratchet.domain.signals import ImpossibleTransition


class RolloverStatus(StrEnum):
    """The states of a layer's roll out of one contract. Source: docs/domain.md, D-32."""

    NONE = "none"
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    ROLLED = "rolled"
    FAILED = "failed"


R = RolloverStatus

NEXT: Mapping[RolloverStatus, frozenset[RolloverStatus]] = {
    R.NONE: frozenset({R.PENDING}),
    R.PENDING: frozenset({R.IN_PROGRESS, R.NONE}),  # none: the layer was closed meanwhile
    R.IN_PROGRESS: frozenset({R.ROLLED, R.FAILED}),
    R.FAILED: frozenset({R.PENDING, R.ROLLED, R.NONE}),  # after a reconciliation, proven complete, or closed
    R.ROLLED: frozenset({R.NONE}),  # the next contract's cycle begins anew
}


def advance(before: RolloverStatus, after: RolloverStatus) -> RolloverStatus:
    """Return `after` if the table allows it. Raises ImpossibleTransition otherwise."""
    if after not in NEXT[before]:
        raise ImpossibleTransition("rollover", before, after)
    return after


def sources_of(after: RolloverStatus) -> frozenset[RolloverStatus]:
    """Return the states from which `after` may be reached."""
    return frozenset(before for before, nexts in NEXT.items() if after in nexts)


@dataclass(frozen=True, slots=True)
class Drive:
    """Take this intent further."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Close:
    """Plan an order that takes `quantity` units of `symbol` off the old contract."""

    symbol: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Open:
    """Plan an order that brings the new contract's leg `name` to what is wanted."""

    name: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Undo:
    """Sell the new call again: its put could not be sold."""

    quantity: int


@dataclass(frozen=True, slots=True)
class Rolled:
    """The layer is wholly in its new contract."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Automation stops. flat: the old contract is closed and the new one is not open."""

    why: str
    flat: bool
    for_exit: bool = False
    """It is no failure: an exit waits, and closes what is held in either contract."""


Step = Drive | Close | Open | Undo | Rolled | Failed

TRIES = 3
"""Orders of one leg before its roll fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The contract to roll into: legs by name in the order of opening (`fut`, or `ce` then `pe`), and their units."""

    legs: tuple[tuple[str, str], ...]
    quantity: int


def close_leg(attempt: int, symbol: str) -> str:
    """Return the leg's name of an order that leaves the old contract, in one round of tries."""
    return f"roll{attempt}-close:{symbol}"


def open_leg(attempt: int, symbol: str) -> str:
    """Return the leg's name of an order that enters the new contract."""
    return f"roll{attempt}-open:{symbol}"


def undo_leg(attempt: int, symbol: str) -> str:
    """Return the leg's name of an order that sells an unmatched new call again."""
    return f"roll{attempt}-undo:{symbol}"


def next_step(
    layer: Layer, intents: Sequence[Intent], *, old: Sequence[str], target: Target, exiting: bool, attempt: int
) -> Step:
    """Return the next step of a roll.

    old: the old contract's symbols. attempt: the round of tries, from 1. exiting: an exit waits for the layer; then
    nothing new is begun: what is held in either contract is the exit's to close.
    """
    review = next((i for i in intents if i.state is IntentState.REVIEW), None)
    if review is not None:
        return Failed(f"{review.leg} is in review", flat=layer.flat)
    flying = sorted((i for i in intents if i.in_flight), key=lambda i: i.state is IntentState.PENDING)
    if flying and not (exiting and flying[0].state is IntentState.PENDING):
        return Drive(flying[0])
    if exiting:
        return Failed("an exit takes the layer over", flat=layer.flat, for_exit=True)
    doubtful = next((i for i in intents if doubtful_in(i, attempt)), None)
    if doubtful is not None:
        return Failed(f"{doubtful.leg} is absent from the book, but its sender may still write", flat=layer.flat)
    closing = _close(layer, intents, old, attempt)
    return closing if closing is not None else _open(layer, intents, target, attempt)


def doubtful_in(intent: Intent, attempt: int) -> bool:
    """Whether an order of this round is absent by time alone: then it is a person who lets another one be sent.

    Source: docs/protocol.md, section 6.
    """
    absent = intent.state is IntentState.NOT_PLACED and (intent.how or "").startswith(ABSENT_BY_TIME)
    return absent and intent.leg.startswith(f"roll{attempt}-")


def _tried(intents: Sequence[Intent], leg: str) -> int:
    return sum(1 for i in intents if i.leg == leg and i.state is not IntentState.FILLED)


def _close(layer: Layer, intents: Sequence[Intent], old: Sequence[str], attempt: int) -> Step | None:
    """The shorts are bought back before the longs are sold; a leg that was begun is always finished."""
    held = sorted(((layer.held(s), s) for s in old if layer.held(s)), key=lambda item: item[0])
    if not held:
        return None
    quantity, symbol = held[0]
    begun = any(i.filled for i in intents if i.purpose is Purpose.ROLL_CLOSE)
    if _tried(intents, close_leg(attempt, symbol)) >= TRIES:
        why = f"{symbol} could not be closed"
        return Failed(why + (", and its other leg is closed" if begun else ""), flat=False)
    return Close(symbol, abs(quantity))


def _open(layer: Layer, intents: Sequence[Intent], target: Target, attempt: int) -> Step:
    _, first = target.legs[0]
    have = abs(layer.held(first))
    wanted = target.quantity
    # what was sold again because its match could not be had is not bought anew in the same round
    undone = any(i.leg == undo_leg(attempt, first) for i in intents)
    for n, (name, symbol) in enumerate(target.legs):
        goal = wanted if n == 0 else abs(layer.held(first))
        missing = goal - abs(layer.held(symbol))
        if missing <= 0:
            continue
        if undone or _tried(intents, open_leg(attempt, symbol)) >= TRIES:
            break
        return Open(name, missing)
    else:
        return Rolled()
    if len(target.legs) == 1:
        return Rolled() if have else Failed(f"{first} could not be opened", flat=True)
    matched = abs(layer.held(target.legs[1][1]))
    if have > matched:
        if _tried(intents, undo_leg(attempt, first)) >= TRIES:
            return Failed(f"{have - matched} units of {first} stand alone", flat=False)
        return Undo(have - matched)
    return Rolled() if matched else Failed("the new contract could not be opened", flat=True)


def shifted(layer: Layer, *, old_exit: Decimal, new_entry: Decimal, strike: Decimal | None) -> Layer:
    """Return the layer with its strategy prices moved by the roll's gap, so that distances survive the roll.

    old_exit, new_entry: of the exposure. The gap is no cost: it moves entry, stops and high alike. Source:
    docs/domain.md, D-33.
    """
    gap = new_entry - old_exit
    return replace(
        layer,
        entry_price=layer.entry_price + gap,
        initial_stop=layer.initial_stop + gap,
        stop=layer.stop + gap,
        high=layer.high + gap,
        strike=strike,
    )
