"""docs/domain.md, section 12, and docs/protocol.md, G4."""

from dataclasses import replace

import pytest

from ratchet.domain.orders import IN_FLIGHT, MAYBE_SENT, IntentState
from ratchet.domain.reconciliation import Case, compare, orphans
from tests.unit.domain.builders import A_ROW, an_intent

GOLD = ("MCX", "GOLDM05FEB27FUT")
PUT = ("NFO", "BANKNIFTY25JAN2758000PE")
NOBODY: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("ours", "theirs", "case"),
    [
        (100, 100, Case.BOTH),
        (-60, -60, Case.BOTH),
        (100, 0, Case.ONLY_OURS),
        (0, -60, Case.ONLY_THEIRS),
        (100, 200, Case.QUANTITY_DIFFERS),
        (-60, -30, Case.QUANTITY_DIFFERS),
        (60, -60, Case.SIGN_DIFFERS),
        (-60, 30, Case.SIGN_DIFFERS),
    ],
)
def test_each_contract_falls_into_one_case(ours: int, theirs: int, case: Case) -> None:
    result = compare({GOLD: ours}, {GOLD: theirs})
    assert [(f.exchange, f.symbol, f.ours, f.theirs, f.case) for f in result.findings] == [(*GOLD, ours, theirs, case)]
    assert result.agree == (case is Case.BOTH)


def test_a_closed_position_is_the_same_as_none() -> None:
    assert compare({GOLD: 0}, {}).findings == ()
    assert compare({}, {GOLD: 0}).agree
    assert compare({GOLD: 100}, {}).differences[0].case is Case.ONLY_OURS


def test_contracts_are_compared_each_for_itself_and_by_exchange() -> None:
    result = compare({GOLD: 100, PUT: -60}, {GOLD: 100, ("BFO", PUT[1]): -60})
    assert not result.agree
    assert {(f.exchange, f.case) for f in result.differences} == {("NFO", Case.ONLY_OURS), ("BFO", Case.ONLY_THEIRS)}
    assert [f.exchange for f in result.findings] == ["BFO", "MCX", "NFO"]


def test_an_order_that_nobody_owns_is_an_orphan() -> None:
    assert orphans([A_ROW], NOBODY, NOBODY, []) == [A_ROW]


def test_an_order_that_is_bound_or_in_an_incident_is_none() -> None:
    assert orphans([A_ROW], {"A1"}, NOBODY, []) == []
    assert orphans([A_ROW], NOBODY, {"A1"}, []) == []


def test_an_order_that_an_intent_in_doubt_may_claim_is_left_to_its_look_up() -> None:
    excusing = {state for state in IN_FLIGHT if orphans([A_ROW], NOBODY, NOBODY, [an_intent(state)]) == []}
    assert excusing == MAYBE_SENT


def test_a_baseline_excuses_no_order() -> None:
    assert orphans([A_ROW], NOBODY, NOBODY, [an_intent(IntentState.UNKNOWN, baseline=("A1",))]) == [A_ROW]


def test_an_intent_does_not_excuse_an_order_on_other_terms() -> None:
    other = replace(A_ROW, order_id="A2", quantity=300)
    assert orphans([A_ROW, other], NOBODY, NOBODY, [an_intent()]) == [other]
