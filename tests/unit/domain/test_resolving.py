"""docs/protocol.md, section 6: what an intent in doubt becomes."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.orders import Side
from ratchet.domain.resolving import (
    QuietRules,
    Sender,
    Verdict,
    candidates,
    decide,
    may_send_exit_again,
    next_look_seconds,
    quiet,
)
from tests.unit.domain.builders import A_ROW, T0, an_intent

RULES = QuietRules(send_window=2, pause_margin=30, drain_bound=150, answered_bound=15)
LATE = T0 + timedelta(hours=1)
NOBODY: frozenset[str] = frozenset()


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def test_the_order_on_the_same_terms_is_a_candidate() -> None:
    assert candidates(an_intent(), [A_ROW], NOBODY, NOBODY) == [A_ROW]


@pytest.mark.parametrize(
    "other",
    [
        replace(A_ROW, symbol="GOLDM05MAR27FUT"),
        replace(A_ROW, exchange="NFO"),
        replace(A_ROW, product="MIS"),
        replace(A_ROW, side=Side.SELL),
        replace(A_ROW, quantity=200),
    ],
    ids=["symbol", "exchange", "product", "side", "quantity"],
)
def test_an_order_on_other_terms_is_none(other: object) -> None:
    assert candidates(an_intent(), [other], NOBODY, NOBODY) == []  # type: ignore[list-item]


def test_price_and_status_are_not_compared() -> None:
    rewritten = replace(A_ROW, price=None, status="rejected")
    assert candidates(an_intent(), [rewritten], NOBODY, NOBODY) == [rewritten]


def test_an_order_that_was_there_before_or_is_spoken_for_is_none() -> None:
    assert candidates(an_intent(baseline=("A1",)), [A_ROW], NOBODY, NOBODY) == []
    assert candidates(an_intent(), [A_ROW], {"A1"}, NOBODY) == []
    assert candidates(an_intent(), [A_ROW], NOBODY, {"A1"}) == []


@pytest.mark.parametrize(("sender", "seconds"), [(Sender.RECORDED, 152), (Sender.DEAD, 152), (Sender.SILENT, 182)])
def test_quiet_begins_once_the_last_possible_write_has_drained(sender: Sender, seconds: float) -> None:
    assert quiet(intent=an_intent(), now=after(seconds), sender=sender, rules=RULES) == after(seconds)
    assert quiet(intent=an_intent(), now=LATE, sender=sender, rules=RULES) == after(seconds)
    assert quiet(intent=an_intent(), now=after(seconds - 0.001), sender=sender, rules=RULES) is None


@pytest.mark.parametrize(
    ("sender", "answered", "seconds"),
    [
        (Sender.RECORDED, 8, 23),
        (Sender.RECORDED, 140, 155),
        (Sender.DEAD, 1, 16),
        (Sender.SILENT, 1, 32),
        (Sender.SILENT, 40, 55),
    ],
)
def test_an_answer_shortens_the_drain_but_not_the_doubt_about_the_sender(
    sender: Sender, answered: float, seconds: float
) -> None:
    intent = replace(an_intent(), answered_at=after(answered))
    assert quiet(intent=intent, now=LATE, sender=sender, rules=RULES) == after(seconds)


def test_a_sender_that_lives_is_never_quiet() -> None:
    assert quiet(intent=an_intent(), now=LATE, sender=Sender.ALIVE, rules=RULES) is None


def test_what_was_never_sent_is_never_quiet() -> None:
    unsent = replace(an_intent(), sent_at=None)
    assert quiet(intent=unsent, now=LATE, sender=Sender.DEAD, rules=RULES) is None


def verdict(
    *,
    found: int = 0,
    looks: tuple[float, ...] = (),
    quiet_at: float | None = 152,
    now: float = 160,
    exclusive: bool = True,
    tainted: bool = False,
    position_agrees: bool = True,
    deadline_passed: bool = False,
) -> Verdict:
    return decide(
        found=[replace(A_ROW, order_id=f"A{n}") for n in range(found)],
        quiet_from=None if quiet_at is None else after(quiet_at),
        now=after(now),
        good_looks=[after(look) for look in looks],
        exclusive=exclusive,
        tainted=tainted,
        position_agrees=position_agrees,
        deadline_passed=deadline_passed,
    )


@pytest.mark.parametrize("deadline_passed", [False, True])
def test_one_candidate_is_bound_at_any_time(deadline_passed: bool) -> None:
    assert verdict(found=1, quiet_at=None, deadline_passed=deadline_passed) is Verdict.BIND


def test_one_candidate_on_a_shared_account_or_a_tainted_slot_goes_to_a_person() -> None:
    assert verdict(found=1, exclusive=False) is Verdict.REVIEW
    assert verdict(found=1, tainted=True) is Verdict.REVIEW


def test_two_candidates_go_to_a_person() -> None:
    assert verdict(found=2) is Verdict.REVIEW


def test_two_good_looks_two_seconds_apart_prove_absence() -> None:
    assert verdict(looks=(152, 154)) is Verdict.NOT_PLACED
    assert verdict(looks=(152, 153.999)) is Verdict.LOOK_AGAIN
    assert verdict(looks=(152,)) is Verdict.LOOK_AGAIN


def test_looks_before_the_quiet_prove_nothing() -> None:
    assert verdict(looks=(10, 60, 151.999)) is Verdict.LOOK_AGAIN
    assert verdict(looks=(10, 151.999, 154)) is Verdict.LOOK_AGAIN
    assert verdict(looks=(10, 60), quiet_at=None) is Verdict.LOOK_AGAIN


def test_absence_is_not_believed_while_the_position_disagrees() -> None:
    assert verdict(looks=(152, 154), position_agrees=False) is Verdict.LOOK_AGAIN
    assert verdict(looks=(152, 154), position_agrees=False, deadline_passed=True) is Verdict.REVIEW


def test_absence_of_other_peoples_orders_on_a_shared_account_is_still_absence() -> None:
    assert verdict(looks=(152, 154), exclusive=False, tainted=True) is Verdict.NOT_PLACED


def test_past_the_deadline_without_evidence_a_person_decides() -> None:
    assert verdict(deadline_passed=True) is Verdict.REVIEW
    assert verdict(looks=(10, 60), deadline_passed=True) is Verdict.REVIEW
    assert verdict(looks=(10, 60), quiet_at=None, deadline_passed=True) is Verdict.REVIEW


def test_a_proof_that_came_late_is_still_given_its_second_look() -> None:
    assert verdict(looks=(5000,), now=5000, deadline_passed=True) is Verdict.LOOK_AGAIN
    assert verdict(looks=(5000, 5002), now=5002, deadline_passed=True) is Verdict.NOT_PLACED


def test_a_second_look_that_never_succeeds_is_not_waited_for_for_ever() -> None:
    assert verdict(looks=(5000,), now=5030, deadline_passed=True) is Verdict.LOOK_AGAIN
    assert verdict(looks=(5000,), now=5031, deadline_passed=True) is Verdict.REVIEW


@settings(max_examples=50, deadline=None)
@given(
    looks=st.lists(st.floats(0, 400), max_size=6).map(tuple),
    quiet_at=st.none() | st.floats(0, 400),
    found=st.integers(0, 3),
    position_agrees=st.booleans(),
    deadline_passed=st.booleans(),
)
def test_absence_is_never_concluded_without_two_spaced_looks_after_the_quiet(
    looks: tuple[float, ...], quiet_at: float | None, found: int, position_agrees: bool, deadline_passed: bool
) -> None:
    result = verdict(
        found=found,
        looks=looks,
        quiet_at=quiet_at,
        now=400,
        position_agrees=position_agrees,
        deadline_passed=deadline_passed,
    )
    if result is Verdict.NOT_PLACED:
        assert found == 0
        assert position_agrees
        assert quiet_at is not None
        counted = [after(look) for look in looks if after(look) >= after(quiet_at)]
        assert max(counted) - min(counted) >= timedelta(seconds=2)
    if deadline_passed and quiet_at is None:
        assert result in (Verdict.BIND, Verdict.REVIEW)


@pytest.mark.parametrize(
    ("sender", "again"),
    [(Sender.RECORDED, True), (Sender.DEAD, True), (Sender.SILENT, False), (Sender.ALIVE, False)],
)
def test_an_exit_is_sent_again_only_after_a_proven_end_of_its_sender(sender: Sender, again: bool) -> None:
    assert may_send_exit_again(sender, True) is again
    assert not may_send_exit_again(sender, False)


def test_looks_grow_apart_to_ten_seconds() -> None:
    assert [next_look_seconds(n) for n in range(7)] == [1, 2, 4, 8, 10, 10, 10]
