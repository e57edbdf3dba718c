"""The two tables of states, walked: what may become of a signal and of an order intent."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain import orders, signals
from ratchet.domain.orders import IntentState
from ratchet.domain.refusals import BY_CODE, Reason
from ratchet.domain.signals import ImpossibleTransition, SignalStatus
from ratchet.domain.webhook import parse
from tests.unit.domain.messages import BAR, EXIT, PYRAMID, changed

STEADY = settings(max_examples=50, deadline=None, derandomize=True)
Machine = tuple[Mapping[Any, frozenset[Any]], Callable[[Any, Any], Any], Any, frozenset[Any]]

MACHINES: dict[str, Machine] = {
    "signal": (signals.NEXT, signals.advance, SignalStatus.ACCEPTED, signals.TERMINAL),
    "intent": (orders.NEXT, orders.advance, IntentState.PENDING, orders.TERMINAL),
}
machines = pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)


@machines
def test_a_table_names_every_state_and_only_ends_lead_nowhere(machine: Machine) -> None:
    table, _, start, ends = machine
    assert set(table) == set(type(start).__members__.values())
    assert {state for state, nexts in table.items() if not nexts} == ends


@machines
def test_every_state_is_reached_from_the_start_and_reaches_an_end(machine: Machine) -> None:
    table, _, start, ends = machine

    def reachable(state: Any) -> set[Any]:
        seen: set[Any] = set()
        pending = [state]
        while pending:
            seen.add(here := pending.pop())
            pending.extend(table[here] - seen)
        return seen

    assert reachable(start) == set(table)
    assert all(reachable(state) & ends for state in table)


@machines
def test_what_the_table_does_not_allow_is_refused_with_both_names(machine: Machine) -> None:
    table, advance, _, _ = machine
    for before in table:
        for after in table:
            if after in table[before]:
                assert advance(before, after) is after
            else:
                with pytest.raises(ImpossibleTransition, match=f"from {before} to {after}"):
                    advance(before, after)


@STEADY
@given(st.data(), st.sampled_from(sorted(MACHINES)))
def test_a_random_walk_never_leaves_an_end(data: st.DataObject, name: str) -> None:
    table, advance, state, ends = MACHINES[name]
    for wish in data.draw(st.lists(st.sampled_from(sorted(table)), max_size=30)):
        before = state
        try:
            state = advance(before, wish)
        except ImpossibleTransition:
            continue
        assert before not in ends


def test_no_intent_goes_back_to_where_it_may_be_sent_once_it_may_have_arrived() -> None:
    for state in (IntentState.UNKNOWN, IntentState.WORKING, IntentState.REVIEW):
        assert not orders.NEXT[state] & {IntentState.PENDING, IntentState.SENDING}


def test_an_intent_that_was_sent_cannot_end_as_never_sent() -> None:
    for state in set(IntentState) - {IntentState.PENDING}:
        assert not orders.NEXT[state] & orders.NEVER_SENT


def test_the_sources_of_a_state_are_the_table_read_backwards() -> None:
    for after in IntentState:
        assert orders.sources_of(after) == {before for before in IntentState if after in orders.NEXT[before]}
    assert orders.sources_of(IntentState.SENDING) == {IntentState.PENDING}


def test_no_end_holds_a_slot() -> None:
    assert not orders.IN_FLIGHT & orders.TERMINAL
    assert set(IntentState) == orders.IN_FLIGHT | orders.TERMINAL | {IntentState.REVIEW}


def test_work_that_a_pod_may_claim_is_not_at_its_end() -> None:
    assert not signals.OPEN & signals.TERMINAL
    assert set(SignalStatus) == signals.OPEN | signals.TERMINAL | {SignalStatus.REVIEW}


def test_every_reason_ends_a_signal_and_every_end_has_a_reason() -> None:
    assert {reason.status for reason in Reason} == signals.TERMINAL
    assert len(BY_CODE) == len(Reason)
    assert all(BY_CODE[reason.code] is reason for reason in Reason)


def test_a_layer_number_is_that_of_its_label_and_only_single_layers_have_one() -> None:
    assert parse(changed(PYRAMID)).signal.layer_number == 2
    for body in (changed(EXIT, position="ALL"), changed(BAR)):
        with pytest.raises(ValueError, match="no single layer"):
            _ = parse(body).signal.layer_number
