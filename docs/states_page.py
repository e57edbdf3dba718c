"""The pages of states and of reasons, from the transition tables and the list of reasons."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from docs.markdown import NOTE, code, table
from ratchet.domain import orders, rollover, signals
from ratchet.domain.orders import IntentState as N
from ratchet.domain.positions import LIVE, LayerStatus
from ratchet.domain.refusals import Reason
from ratchet.domain.rollover import RolloverStatus as R
from ratchet.domain.signals import SignalStatus as S

State = TypeVar("State", bound=StrEnum)

SIGNAL_MEANINGS: Mapping[S, str] = {
    S.ACCEPTED: "stored durably, in nobody's hands",
    S.PROCESSING: "claimed at least once; between two turns nobody may hold it",
    S.REVIEW: "automation has stopped, a person chooses the end",
    S.EXECUTED: "done, or there was nothing to do",
    S.PARTIALLY_EXECUTED: "part was filled, the rest was cancelled",
    S.BLOCKED: "refused by a gate, a limit or the kill switch",
    S.REJECTED: "did not fit the position, the clock or the market",
    S.EXPIRED: "too old, or no price came in time",
    S.FAILED: "the order came to nothing",
}
INTENT_MEANINGS: Mapping[N, str] = {
    N.PENDING: "durable, not sent; its margin is reserved",
    N.SENDING: "permission to send has committed; the POST may be under way",
    N.UNKNOWN: "the call has ended without a clear answer; the order may exist",
    N.WORKING: "the broker named an order id; it is followed to its end",
    N.REVIEW: "a person says what became of it",
    N.FILLED: "all of it",
    N.PARTIAL: "part of it, the rest is cancelled",
    N.CANCELLED: "cancelled with nothing filled",
    N.REJECTED: "the broker took it and then rejected it",
    N.REFUSED: "the broker proved that it did not take it",
    N.NOT_PLACED: "proven absent from the broker's book",
    N.SUPERSEDED: "never sent: an exit or another plan came first",
    N.BLOCKED: "never sent: a switch or an incident forbade it",
    N.EXPIRED: "never sent: the signal had become too old",
}
ROLLOVER_MEANINGS: Mapping[R, str] = {
    R.NONE: "no roll, or the layer was closed",
    R.PENDING: "due; nothing was sent",
    R.IN_PROGRESS: "its legs are under way, the lane takes no entries",
    R.ROLLED: "wholly in the new contract",
    R.FAILED: "automation stopped; tried again a few times, or a person's",
}
LAYER_MEANINGS: Mapping[LayerStatus, str] = {
    LayerStatus.OPENING: "its first fill is booked, its entry has not ended",
    LayerStatus.OPEN: "its entry has ended; bars move its stop",
    LayerStatus.CLOSING: "an exit has taken it; its stop is frozen",
    LayerStatus.CLOSED: "flat",
}


def states() -> str:
    """Return the page of states."""
    flying = f"In flight, and so the holder of its slot: {code(sorted(orders.IN_FLIGHT))}."
    parts = [
        "# States",
        NOTE,
        "The tables are the ones that the code looks up, in `ratchet/domain/signals.py`, `orders.py` and "
        "`rollover.py`. For signals and intents the database refuses every other transition by a trigger. A state "
        "without a successor never changes.",
        "## Signal",
        _diagram(signals.NEXT, S.ACCEPTED),
        _rows(signals.NEXT, SIGNAL_MEANINGS),
        "Out of `review` only a person leads (`ratchet incidents decide`).",
        "## Order intent",
        _diagram(orders.NEXT, N.PENDING),
        _rows(orders.NEXT, INTENT_MEANINGS),
        flying,
        "`SENDING` goes back to `PENDING` only by the process that sent it and knows that no byte was written.",
        "## Layer",
        table(
            ("status", "live", "meaning"),
            ((f"`{status}`", "yes" if status in LIVE else "", LAYER_MEANINGS[status]) for status in LayerStatus),
        ),
        "## Rollover",
        _diagram(rollover.NEXT, R.NONE),
        _rows(rollover.NEXT, ROLLOVER_MEANINGS),
    ]
    return "\n\n".join(part.rstrip() for part in parts)


def _diagram(nexts: Mapping[State, frozenset[State]], first: State) -> str:
    # In the order of the enumeration: a set's own order changes from run to run.
    arrows = [f"    {before} --> {after}" for before in type(first) for after in _sorted(nexts[before])]
    ends = [f"    {state} --> [*]" for state in type(first) if not nexts[state]]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *arrows, *ends, "```"])


def _sorted(states: frozenset[State]) -> list[State]:
    return sorted(states, key=list(type(next(iter(states)))).index) if states else []


def _rows(nexts: Mapping[State, frozenset[State]], meanings: Mapping[State, str]) -> str:
    return table(
        ("state", "meaning", "may become"),
        ((f"`{state}`", meaning, code(_sorted(nexts[state])) or "terminal") for state, meaning in meanings.items()),
    )


def reasons() -> str:
    """Return the page of reasons."""
    parts = [
        "# Reasons",
        NOTE,
        "Why a signal ended as it did: `reason` of `GET /signals/{id}`, of the list, and of metrics.",
    ]
    for status in S:
        found = [reason for reason in Reason if reason.status is status]
        if found:
            parts.append(f"## {status}")
            parts.append(table(("reason", "meaning"), ((f"`{reason.code}`", reason.meaning) for reason in found)))
    parts.append("## Given by people")
    parts.append(
        table(
            ("reason", "meaning"), (("`decided`", "a person ended the signal; the status is the one that was chosen"),)
        )
    )
    return "\n\n".join(part.rstrip() for part in parts)
