"""An entry's saga: from every state that orders can reach it goes on, asks a person, or ends, and never over-trades."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.domain import saga
from ratchet.domain.identity import AccountId, IntentId
from ratchet.domain.instruments import Form
from ratchet.domain.orders import Intent, IntentState, Purpose, Side
from ratchet.domain.refusals import Reason
from ratchet.domain.resolving import ABSENT, ABSENT_BY_TIME

LOT = 30
TRIES = 3
NOW = datetime(2027, 1, 11, tzinfo=UTC)


def an_order(
    leg: str,
    quantity: int,
    state: IntentState = IntentState.PENDING,
    *,
    filled: int = 0,
    attempt: int = 1,
    step: int | None = None,
    how: str | None = None,
    purpose: Purpose = Purpose.ENTRY,
) -> Intent:
    put = leg.startswith("pe")
    return Intent(
        id=IntentId(uuid4()),
        account=AccountId("main"),
        instrument="BANK_NIFTY",
        origin="f",
        signal_ts=NOW,
        purpose=purpose,
        leg=leg,
        step=(saga.SECOND_STEP if put else 0) if step is None else step,
        attempt=attempt,
        exchange="NFO",
        symbol="PE" if put else "CE",
        product="NRML",
        side=Side.SELL if put or purpose is Purpose.UNWIND else Side.BUY,
        quantity=quantity,
        lot_size=LOT,
        tick=Decimal("0.05"),
        price=None,
        state=state,
        filled=filled,
        how=how,
        created_at=NOW,
    )


def next_of(found: list[Intent], form: Form = Form.SYNTHETIC, wanted: int = 60) -> saga.Step:
    ordered = sorted(found, key=lambda i: (i.step, i.attempt, i.leg))
    return saga.next_step(ordered, form=form, wanted=wanted, refused_tries=TRIES, unwind_tries=TRIES)


FATES = [
    (IntentState.FILLED, ""),
    (IntentState.PARTIAL, "read twice"),
    (IntentState.CANCELLED, "read twice"),
    (IntentState.REJECTED, "RMS"),
    (IntentState.REFUSED, "margin"),
    (IntentState.REFUSED, saga.RATE_REFUSAL),
    (IntentState.NOT_PLACED, ABSENT),
    (IntentState.NOT_PLACED, ABSENT_BY_TIME),
    (IntentState.REVIEW, "two candidates"),
    (IntentState.BLOCKED, Reason.KILL_SWITCH.code),
    (IntentState.SUPERSEDED, Reason.SUPERSEDED_BY_EXIT.code),
]


def suffer(intent: Intent, fate: tuple[IntentState, str], part: int) -> Intent:
    """Return an order after its fate; part: units of a partial fill, not always whole lots."""
    state, how = fate
    if state is IntentState.PARTIAL and intent.quantity == 1:
        state = IntentState.FILLED
    filled = {IntentState.FILLED: intent.quantity, IntentState.PARTIAL: 1 + part % max(1, intent.quantity - 1)}
    return replace(intent, state=state, how=how, filled=filled.get(state, 0))


def carry_out(found: list[Intent], step: saga.Step, fate: tuple[IntentState, str], part: int) -> None:
    """Do to the orders what a step asks for."""
    match step:
        case saga.Drive(intent):
            found[found.index(intent)] = suffer(intent, fate, part)
        case saga.Supersede(intent, why):
            found[found.index(intent)] = replace(intent, state=IntentState.SUPERSEDED, how=why)
        case saga.Retry(intent):
            found.append(an_order(intent.leg, intent.quantity, attempt=intent.attempt + 1, step=intent.step))
        case saga.More(_, leg, order, attempt, quantity):
            found.append(an_order(leg, quantity, attempt=attempt, step=order))
        case saga.Unwind(_, quantity, attempt):
            unwind = an_order("unwind", quantity, attempt=attempt, step=saga.UNWIND_STEP, purpose=Purpose.UNWIND)
            found.append(unwind)


def check(found: list[Intent], wanted: int, form: Form) -> None:
    """Check what must hold whatever has happened."""
    assert len({(i.leg, i.attempt) for i in found}) == len(found), "an attempt of a leg was planned twice"
    assert all(i.quantity > 0 for i in found)
    flying = [(i.symbol, i.side) for i in found if i.in_flight]
    assert len(set(flying)) == len(flying), "two orders share a slot"
    bought = sum(i.filled for i in found if i.purpose is Purpose.ENTRY and i.step < saga.SECOND_STEP)
    sold = sum(i.filled for i in found if i.purpose is Purpose.ENTRY and i.step >= saga.SECOND_STEP)
    undone = sum(i.filled for i in found if i.purpose is Purpose.UNWIND)
    assert bought <= wanted
    if form is Form.SYNTHETIC:
        assert sold <= bought, "a put without its call"
        assert undone <= bought - sold, "more was undone than was unmatched"
    for leg in {i.leg for i in found if i.state is IntentState.NOT_PLACED and i.purpose is Purpose.ENTRY}:
        last = max((i for i in found if i.leg == leg), key=lambda i: i.attempt)
        assert last.state is IntentState.NOT_PLACED, "a lost entry was sent again"


@given(
    form=st.sampled_from([Form.FUTURE, Form.SYNTHETIC]),
    lots=st.integers(1, 7),
    freeze_lots=st.integers(1, 7),
    fates=st.lists(st.tuples(st.sampled_from(FATES), st.integers(0, 500)), min_size=80, max_size=80),
)
def test_a_saga_ends_or_asks_a_person_and_never_over_trades(
    form: Form, lots: int, freeze_lots: int, fates: list[tuple[tuple[IntentState, str], int]]
) -> None:
    wanted, first = lots * LOT, min(lots, freeze_lots) * LOT
    found = [an_order("fut" if form is Form.FUTURE else "ce", first)]
    if form is Form.SYNTHETIC:
        found.append(an_order("pe", first))
    for fate, part in fates:
        step = next_of(found, form, wanted)
        if isinstance(step, saga.Review):
            return
        if isinstance(step, saga.End):
            assert not any(i.in_flight for i in found)
            assert step.filled <= wanted
            reason = saga.reason_of(step, found)
            assert (reason is Reason.FILLED) == (step.filled == wanted)
            assert (reason is Reason.PART_FILLED) == (0 < step.filled < wanted)
            return
        carry_out(found, step, fate, part)
        check(found, wanted, form)
    raise AssertionError(f"no end after {len(fates)} steps: {[(i.leg, i.attempt, i.state) for i in found]}")


def test_the_call_is_bought_before_the_put_is_sold() -> None:
    step = next_of([an_order("ce", 60), an_order("pe", 60)])
    assert isinstance(step, saga.Drive) and step.intent.leg == "ce"


def test_the_next_slice_is_planned_only_when_the_one_before_has_filled() -> None:
    one = an_order("fut/1", 60, IntentState.FILLED, filled=60)
    step = next_of([one], Form.FUTURE, wanted=150)
    assert isinstance(step, saga.More)
    assert (step.leg, step.attempt, step.quantity) == ("fut/2", 1, 60)
    two = an_order("fut/2", 60, IntentState.FILLED, filled=60, step=1)
    last = next_of([one, two], Form.FUTURE, wanted=150)
    assert isinstance(last, saga.More) and last.quantity == 30
    cancelled = an_order("fut/2", 60, IntentState.PARTIAL, filled=30, step=1)
    assert next_of([one, cancelled], Form.FUTURE, wanted=150) == saga.End(90, 150)


def test_a_put_larger_than_its_call_is_planned_again_at_the_size_of_the_call() -> None:
    call, put = an_order("ce", 90, IntentState.PARTIAL, filled=60), an_order("pe", 90)
    step = next_of([call, put], wanted=90)
    assert isinstance(step, saga.Supersede) and step.intent is put
    aside = replace(put, state=IntentState.SUPERSEDED, how=step.why)
    more = next_of([call, aside], wanted=90)
    assert isinstance(more, saga.More)
    assert (more.leg, more.attempt, more.quantity) == ("pe", 2, 60)


def test_a_refused_put_undoes_the_call_in_orders_no_larger_than_it_was_bought_in() -> None:
    calls = [
        an_order("ce/1", 60, IntentState.FILLED, filled=60),
        an_order("ce/2", 30, IntentState.FILLED, filled=30, step=1),
    ]
    put = an_order("pe/1", 60, IntentState.REFUSED, how="margin")
    step = next_of([*calls, put], wanted=90)
    assert isinstance(step, saga.Unwind) and (step.quantity, step.attempt) == (60, 1)
    undone = an_order("unwind", 60, IntentState.FILLED, filled=60, step=saga.UNWIND_STEP, purpose=Purpose.UNWIND)
    rest = next_of([*calls, put, undone], wanted=90)
    assert isinstance(rest, saga.Unwind) and (rest.quantity, rest.attempt) == (30, 2)


def test_an_unwind_that_is_absent_by_time_alone_is_not_sent_again() -> None:
    call, put = an_order("ce", 60, IntentState.FILLED, filled=60), an_order("pe", 60, IntentState.REJECTED)
    lost = an_order("unwind", 60, IntentState.NOT_PLACED, step=saga.UNWIND_STEP, purpose=Purpose.UNWIND)
    by_time = next_of([call, put, replace(lost, how=ABSENT_BY_TIME)])
    assert isinstance(by_time, saga.Review) and by_time.exposed
    assert isinstance(next_of([call, put, replace(lost, how=ABSENT)]), saga.Unwind)


def test_a_call_that_cannot_be_undone_is_exposed_after_the_last_try() -> None:
    call, put = an_order("ce", 60, IntentState.FILLED, filled=60), an_order("pe", 60, IntentState.REFUSED, how="no")
    tries = [
        an_order("unwind", 60, IntentState.REFUSED, how="no", attempt=n, step=saga.UNWIND_STEP, purpose=Purpose.UNWIND)
        for n in range(1, TRIES + 1)
    ]
    assert isinstance(next_of([call, put, *tries[:-1]]), saga.Unwind)
    step = next_of([call, put, *tries])
    assert isinstance(step, saga.Review) and step.exposed


def test_a_rate_refusal_is_tried_again_so_often_and_no_oftener() -> None:
    tries = [
        an_order("fut", 60, IntentState.REFUSED, how=f"{saga.RATE_REFUSAL}: slow down", attempt=n)
        for n in range(1, TRIES + 2)
    ]
    assert isinstance(next_of(tries[:TRIES], Form.FUTURE), saga.Retry)
    end = next_of(tries, Form.FUTURE)
    assert isinstance(end, saga.End)
    assert saga.reason_of(end, tries) is Reason.BROKER_REFUSED


def test_an_order_on_its_way_is_followed_before_a_person_is_asked() -> None:
    working = an_order("pe", 60, IntentState.WORKING)
    asked = an_order("ce", 60, IntentState.REVIEW)
    step = next_of([asked, working])
    assert isinstance(step, saga.Drive) and step.intent is working


@pytest.mark.parametrize(
    ("state", "how", "reason"),
    [
        (IntentState.NOT_PLACED, ABSENT, Reason.NOT_PLACED),
        (IntentState.REFUSED, "margin", Reason.BROKER_REFUSED),
        (IntentState.REJECTED, "RMS", Reason.BROKER_REJECTED),
        (IntentState.CANCELLED, "read twice", Reason.UNFILLED),
        (IntentState.BLOCKED, Reason.EXPOSED.code, Reason.EXPOSED),
        (IntentState.EXPIRED, Reason.STALE.code, Reason.STALE),
        (IntentState.SUPERSEDED, Reason.SUPERSEDED_BY_EXIT.code, Reason.SUPERSEDED_BY_EXIT),
    ],
)
def test_an_entry_without_a_fill_ends_as_its_order_did(state: IntentState, how: str, reason: Reason) -> None:
    found = [an_order("fut", 60, state, how=how)]
    end = next_of(found, Form.FUTURE)
    assert isinstance(end, saga.End)
    assert saga.reason_of(end, found) is reason


def test_a_closing_order_that_is_refused_for_its_rate_is_tried_ever_less_often() -> None:
    tried = [an_order("close:CE", 30, IntentState.CANCELLED)]
    pauses = [saga.pause_after(tried).total_seconds()]
    for attempt in range(2, 8):
        tried.append(an_order("close:CE", 30, IntentState.REFUSED, attempt=attempt, how=f"{saga.RATE_REFUSAL}: 429"))
        pauses.append(saga.pause_after(tried).total_seconds())
    assert pauses == [1, 1, 2, 4, 8, 8, 8]
    tried.append(an_order("close:CE", 30, IntentState.REJECTED, attempt=8))
    assert saga.pause_after(tried).total_seconds() == 1
