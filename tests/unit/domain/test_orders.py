"""docs/protocol.md, section 3: the table of an intent's states, row by row, and nothing beside it."""

from itertools import product

import pytest

from ratchet.domain.orders import (
    BROKER_ENDS,
    IN_FLIGHT,
    MAYBE_SENT,
    NEVER_SENT,
    NEXT,
    TERMINAL,
    IntentState,
    Purpose,
    Side,
    advance,
    sources_of,
)
from ratchet.domain.signals import ImpossibleTransition
from tests.unit.domain.builders import an_intent

S = IntentState

# Written out here once more, so that a change of the table has to be made twice.
TABLE = {
    S.PENDING: "SENDING SUPERSEDED BLOCKED EXPIRED REVIEW",
    S.SENDING: "PENDING UNKNOWN WORKING FILLED PARTIAL CANCELLED REJECTED REFUSED NOT_PLACED REVIEW",
    S.UNKNOWN: "WORKING FILLED PARTIAL CANCELLED REJECTED REFUSED NOT_PLACED REVIEW",
    S.WORKING: "FILLED PARTIAL CANCELLED REJECTED REVIEW",
    S.REVIEW: "FILLED PARTIAL CANCELLED REJECTED NOT_PLACED",
}
ALLOWED = {(before, S(after)) for before, afters in TABLE.items() for after in afters.split()}
PAIRS = list(product(S, S))


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=[f"{b}-{a}" for b, a in PAIRS])
def test_a_transition_is_possible_exactly_if_the_protocol_lists_it(before: S, after: S) -> None:
    if (before, after) in ALLOWED:
        assert advance(before, after) is after
    else:
        with pytest.raises(ImpossibleTransition, match=f"from {before} to {after}"):
            advance(before, after)


def test_every_state_has_a_row_and_only_terminal_ones_an_empty_one() -> None:
    assert set(NEXT) == set(S)
    assert {state for state, nexts in NEXT.items() if not nexts} == TERMINAL


def test_every_state_is_in_flight_or_terminal_or_with_a_person() -> None:
    assert IN_FLIGHT | TERMINAL | {S.REVIEW} == set(S)
    assert not IN_FLIGHT & TERMINAL
    assert MAYBE_SENT < IN_FLIGHT
    assert BROKER_ENDS | NEVER_SENT < TERMINAL


def test_every_state_can_still_reach_an_end() -> None:
    ending = set(TERMINAL)
    while more := {state for state, nexts in NEXT.items() if state not in ending and nexts & ending}:
        ending |= more
    assert ending == set(S)


def test_what_may_have_been_sent_can_never_become_unsent() -> None:
    for state in MAYBE_SENT | {S.WORKING, S.REVIEW}:
        assert not NEXT[state] & NEVER_SENT
    # only the sender itself, knowing that no byte was written, goes back
    assert sources_of(S.PENDING) == {S.SENDING}


def test_the_guard_of_a_transition_is_every_state_that_may_make_it() -> None:
    for after in S:
        assert sources_of(after) == {before for before, to in ALLOWED if to is after}
    assert sources_of(S.SENDING) == {S.PENDING}


def test_buy_and_sell_undo_each_other() -> None:
    assert (Side.BUY.opposite, Side.SELL.opposite) == (Side.SELL, Side.BUY)
    assert Side.BUY.sign + Side.SELL.sign == 0


def test_only_entries_and_the_opening_leg_of_a_roll_open() -> None:
    assert {purpose for purpose in Purpose if purpose.opens} == {Purpose.ENTRY, Purpose.ROLL_OPEN}


def test_an_intent_holds_its_slot_while_it_is_in_flight() -> None:
    assert {state for state in S if an_intent(state).in_flight} == IN_FLIGHT
    assert {state for state in S if an_intent(state).terminal} == TERMINAL
    slot = an_intent().slot
    assert (slot.exchange, slot.symbol, slot.product, slot.side) == ("MCX", "GOLDM05FEB27FUT", "NRML", Side.BUY)
