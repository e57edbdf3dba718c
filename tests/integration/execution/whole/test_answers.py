"""What the broker may answer to an order, and what becomes of the signal then."""

from __future__ import annotations

import pytest

from ratchet.domain.orders import IntentState
from ratchet.execution import reconcile
from tests.integration.execution.whole.desk import Desk
from tests.servers.waiting import eventually
from tests.world import stamp


async def test_a_rate_refusal_is_tried_again_as_a_new_intent(at: Desk) -> None:
    await at.fault("rate_limit_429")
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("executed", "filled")
    states = [(i.attempt, i.state) for i in await at.intents(row["id"])]
    assert states == [(1, IntentState.REFUSED), (2, IntentState.FILLED)]
    await at.check()


async def test_a_refused_entry_ends_and_gives_its_margin_back(at: Desk) -> None:
    await at.fault("refuse_4xx", text="RMS: Margin exceeds")
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("failed", "broker_refused")
    assert (await at.world.purse()).reserved == 0
    await at.check()


async def test_an_order_that_is_rejected_after_it_was_taken_ends_the_entry(at: Desk) -> None:
    await at.fault("reject_after_accept", seconds=0)
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("failed", "broker_rejected")
    await at.check()


@pytest.mark.parametrize("fault", ["accept_then_cut", "error_500_after", "garbage_body", "accept_then_hang"])
async def test_an_order_whose_answer_was_lost_is_found_and_bound(at: Desk, fault: str) -> None:
    await at.fault(fault, seconds=2.5)
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("executed", "filled")
    assert len(await at.orders()) == 1
    await at.check()


async def test_an_order_that_appears_late_is_bound_all_the_same(at: Desk) -> None:
    """The call hangs past our patience, and books only afterwards."""
    await at.fault("hang_then_book", seconds=2.2)
    receipt = await at.world.send("BASE_ENTRY")
    unknown = await at.reaches(receipt, IntentState.UNKNOWN, IntentState.WORKING, IntentState.FILLED)
    assert unknown.state is IntentState.UNKNOWN
    row = await at.world.ended(receipt.id)
    assert (row["status"], row["reason"]) == ("executed", "filled")
    await at.check()


@pytest.mark.parametrize("fault", ["cut_before", "error_500_before"])
async def test_an_entry_that_never_arrived_is_not_sent_again(at: Desk, fault: str) -> None:
    await at.fault(fault)
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("failed", "not_placed")
    assert await at.orders() == []
    (intent,) = await at.intents(row["id"])
    assert intent.state is IntentState.NOT_PLACED
    await at.check()


async def test_a_success_without_an_order_id_is_a_refusal_if_the_book_shows_nothing(at: Desk) -> None:
    await at.fault("null_orderid", booked=False)
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("failed", "broker_refused")
    await at.check()


async def test_a_success_without_an_order_id_is_followed_if_the_book_shows_it(at: Desk) -> None:
    await at.fault("null_orderid", booked=True)
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("executed", "filled")
    await at.check()


async def test_a_book_that_cannot_be_read_is_no_evidence(at: Desk) -> None:
    await at.fault("accept_then_cut")
    receipt = await at.world.send("BASE_ENTRY")
    await at.fault("book_500", endpoint="orderbook", times=3)
    row = await at.world.ended(receipt.id)
    assert (row["status"], row["reason"]) == ("executed", "filled")
    await at.check()


async def test_a_lost_session_stops_all_sending(at: Desk) -> None:
    await at.fault("session_lost", endpoint="placeorder")
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("failed", "broker_refused")
    assert await at.switches() == (False, False)
    assert "kill_switch" in await at.incidents()
    await at.check()


async def test_an_answer_in_the_wrong_mode_stops_entries_and_asks_a_person(at: Desk) -> None:
    await at.fault("wrong_mode", booked=True)
    row = await at.world.executed("BASE_ENTRY")
    assert row["status"] == "review"
    assert await at.switches() == (False, True)
    (intent,) = await at.intents(row["id"])
    assert intent.state is IntentState.REVIEW
    assert (await at.world.purse()).reserved == intent.reserved > 0


async def test_two_orders_that_may_be_ours_go_to_a_person(at: Desk) -> None:
    """Somebody places the same order by hand while ours is in doubt."""
    await at.fault("accept_then_hang", seconds=2.5)
    receipt = await at.world.send("BASE_ENTRY")
    await at.reaches(receipt, IntentState.SENDING, IntentState.UNKNOWN)
    (ours,) = await eventually(at.orders)
    await at.foreign(ours)
    row = await at.world.ended(receipt.id)
    assert row["status"] == "review"
    assert "unresolved" in await at.incidents()
    await at.check(strangers=1)
    blocked = await at.world.executed("PYRAMID")
    assert (blocked["status"], blocked["reason"]) == ("blocked", "exposed")


async def test_a_match_on_a_slot_whose_absence_was_believed_goes_to_a_person(at: Desk) -> None:
    await at.fault("error_500_before")
    lost = await at.world.executed("BASE_ENTRY", timestamp=stamp(57))
    assert lost["reason"] == "not_placed"
    await at.fault("accept_then_cut")
    row = await at.world.executed("BASE_ENTRY", timestamp=stamp(-4))
    assert row["status"] == "review"
    (intent,) = await at.intents(row["id"])
    assert intent.state is IntentState.REVIEW
    assert len(await at.orders()) == 1


async def test_an_order_that_nobody_owns_closes_its_slot(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", "COPPER", timestamp=stamp(57))
    (order,) = await at.orders()
    await at.world.executed("EXIT", "COPPER", timestamp=stamp(50))
    await at.foreign(order)
    await reconcile.run(at.world.rt)
    assert "orphan" in await at.incidents()
    row = await at.world.executed("BASE_ENTRY", "COPPER", timestamp=stamp(-4))
    assert (row["status"], row["reason"]) == ("blocked", "exposed")
    await at.check(strangers=1)
