"""A person's decision: what it needs, what it books, and what it lets go."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from ratchet.domain.identity import BrokerOrderId, IntentId
from ratchet.domain.orders import IntentState
from ratchet.domain.positions import LayerStatus
from ratchet.domain.signals import SignalStatus
from ratchet.execution.auditor import audit
from ratchet.execution.decide import CannotDecide, Decided, Decision, decide
from ratchet.persistence import incidents, intents, lanes, layers, money
from ratchet.persistence.tables import signal_log
from ratchet.runtime import Runtime
from tests.contract.persistence.rows import STAMP, add_intent, add_signal
from tests.integration.execution.seeds import GOLD, a_book, a_book_order, add_layer, an_entry, incidents_of, name_order

PRICE = Decimal("134650.25")
ORDER = BrokerOrderId("2101")
BY = {"by": "a person", "text": "looked at the book"}
PLAN = {
    "plan": {
        "number": 1,
        "lots": 1,
        "lot_size": 100,
        "signal_price": "134600",
        "stop": "133900",
        "atr": "760",
        "strike": None,
        "expiry": "2027-02-05",
        "symbols": [GOLD],
        "margin_per_lot": "100000",
        "facts": {},
    }
}


async def entry_in_review(rt: Runtime, **changes: Any) -> tuple[UUID, IntentId]:
    """Seed a base entry whose order is unknown; return the incident and the intent."""
    async with rt.db.transaction() as tx:
        entry = {"kind": "BASE_ENTRY", "layer": "Long_1", "fingerprint": "f", "detail": PLAN}
        await add_signal(tx, SignalStatus.REVIEW, **entry)
        reserved: Decimal = changes.get("reserved", Decimal(100000))
        values: dict[str, Any] = {
            "origin": "f",
            "signal_ts": STAMP,
            "symbol": GOLD,
            "reserved": reserved,
            "sent_at": STAMP,
            "broker_day": STAMP.date(),
        }
        made = IntentId(await add_intent(tx, IntentState.REVIEW, **{**values, **changes}))
        purse = await money.lock(tx, "main")
        await money.save(tx, replace(purse, reserved=reserved))
        intent = await intents.get(tx, made)
        await incidents.open_for_intent(tx, intent, kind="unresolved", summary="unknown", actor="test")
        await lanes.hold(tx, "main", "GOLD_MINI", reason="review", ref="f")
    (opened,) = await incidents_of(rt, "unresolved")
    return opened["id"], made


async def say(rt: Runtime, incident_id: UUID, **more: Any) -> Decided:
    return await decide(rt, incident_id, Decision(**{**BY, **more}))


async def state(rt: Runtime, intent_id: IntentId) -> tuple[str, str, str]:
    """Return the order's state, the signal's status, and what holds the lane."""
    async with rt.db.transaction() as tx:
        intent = await intents.get(tx, intent_id)
        signal = await tx.one(select(signal_log.c.status))
        lane = await lanes.lock(tx, "main", "GOLD_MINI")
        return str(intent.state), signal["status"], lane.hold


async def test_a_filled_order_is_booked_as_the_broker_would_have_said_it(rt: Runtime) -> None:
    opened, intent_id = await entry_in_review(rt)
    filled = {"order": IntentState.FILLED, "average": PRICE, "order_id": ORDER}
    decided = await say(rt, opened, signal=SignalStatus.EXECUTED, **filled)
    assert (decided.order, decided.signal) == (IntentState.FILLED, SignalStatus.EXECUTED)
    assert await state(rt, intent_id) == ("FILLED", "executed", "none")
    async with rt.db.transaction() as tx:
        (layer,) = await layers.live_of_lane(tx, "main", "GOLD_MINI")
        purse = await money.read(tx, "main")
    assert (layer.status, layer.lots, layer.entry_price) == (LayerStatus.OPEN, 1, PRICE)
    assert (purse.reserved, purse.used) == (Decimal(0), Decimal(100000))
    order = an_entry(a_book_order(ORDER))
    book = a_book(order, positions={("main", "MCX", GOLD): 100})
    assert [f.invariant for f in await audit(rt, book=book) if f.count] == []


async def test_an_order_that_was_never_placed_gives_its_margin_back(rt: Runtime) -> None:
    opened, intent_id = await entry_in_review(rt)
    await say(rt, opened, order=IntentState.NOT_PLACED, signal=SignalStatus.FAILED)
    assert await state(rt, intent_id) == ("NOT_PLACED", "failed", "none")
    async with rt.db.transaction() as tx:
        assert (await money.read(tx, "main")).reserved == 0


async def test_an_order_that_turns_out_to_be_ours_is_no_stranger_any_more(rt: Runtime) -> None:
    opened, _ = await entry_in_review(rt)
    async with rt.db.transaction() as tx:
        await name_order(tx, ORDER)
    filled = {"order": IntentState.PARTIAL, "filled": 40, "average": PRICE, "order_id": ORDER}
    await say(rt, opened, signal=SignalStatus.PARTIALLY_EXECUTED, **filled)
    (orphan,) = await incidents_of(rt, "orphan")
    assert orphan["closed_by"] == "a person"


@pytest.mark.parametrize(
    ("decision", "field"),
    [
        ({"signal": SignalStatus.FAILED}, "say what became of it"),
        ({"order": IntentState.FILLED, "average": PRICE}, "order_id"),
        ({"order": IntentState.FILLED, "order_id": ORDER}, "average price"),
        ({"order": IntentState.FILLED, "order_id": ORDER, "average": Decimal(0)}, "average price"),
        ({"order": IntentState.PARTIAL, "order_id": ORDER, "average": PRICE, "filled": 100}, "do not make"),
        ({"order": IntentState.PARTIAL, "order_id": ORDER, "average": PRICE, "filled": 101}, "cannot have been filled"),
        ({"order": IntentState.NOT_PLACED, "order_id": ORDER}, "was placed"),
        ({"order": IntentState.REFUSED}, "one of"),
        ({"order": IntentState.NOT_PLACED}, "say how it ends"),
    ],
)
async def test_what_does_not_fit_is_refused_and_changes_nothing(
    rt: Runtime, decision: dict[str, Any], field: str
) -> None:
    opened, intent_id = await entry_in_review(rt)
    with pytest.raises(CannotDecide, match=field):
        await say(rt, opened, **decision)
    assert await state(rt, intent_id) == ("REVIEW", "review", "review")
    (still,) = await incidents_of(rt, "unresolved")
    assert still["closed_at"] is None


async def test_the_order_that_we_know_cannot_be_another_one(rt: Runtime) -> None:
    opened, _ = await entry_in_review(rt, broker_order_id="2000")
    with pytest.raises(CannotDecide, match="2000"):
        await say(rt, opened, order=IntentState.FILLED, average=PRICE, order_id=ORDER, signal=SignalStatus.EXECUTED)


async def test_a_decision_is_made_once(rt: Runtime) -> None:
    opened, _ = await entry_in_review(rt)
    await say(rt, opened, order=IntentState.NOT_PLACED, signal=SignalStatus.FAILED)
    with pytest.raises(CannotDecide, match="decided already"):
        await say(rt, opened, order=IntentState.NOT_PLACED, signal=SignalStatus.FAILED)


async def test_layers_that_a_stuck_exit_had_taken_may_be_taken_again(rt: Runtime) -> None:
    async with rt.db.transaction() as tx:
        layer = await add_layer(tx, 100)
        await layers.take_for_exit(tx, layer, by="x", reason="test")
        stuck = await add_signal(tx, SignalStatus.REVIEW, fingerprint="x")
        await incidents.open_incident(
            tx, account="main", kind="exit_stuck", summary="stuck", actor="test", signal_id=stuck
        )
        await lanes.hold(tx, "main", "GOLD_MINI", reason="review", ref="x")
    (opened,) = await incidents_of(rt, "exit_stuck")
    decided = await say(rt, opened["id"], signal=SignalStatus.FAILED)
    assert decided.signal is SignalStatus.FAILED
    async with rt.db.transaction() as tx:
        (layer,) = await layers.live_of_lane(tx, "main", "GOLD_MINI")
        lane = await lanes.lock(tx, "main", "GOLD_MINI")
    assert (layer.status, lane.hold) == (LayerStatus.OPEN, "none")


async def test_another_order_in_review_keeps_the_lane(rt: Runtime) -> None:
    opened, _ = await entry_in_review(rt)
    async with rt.db.transaction() as tx:
        await add_intent(tx, IntentState.REVIEW, origin="another")
    await say(rt, opened, order=IntentState.NOT_PLACED, signal=SignalStatus.FAILED)
    async with rt.db.transaction() as tx:
        assert (await lanes.lock(tx, "main", "GOLD_MINI")).hold == "review"


async def test_an_incident_without_order_or_signal_is_closed_with_the_words(rt: Runtime) -> None:
    async with rt.db.transaction() as tx:
        await name_order(tx, "7001")
    (opened,) = await incidents_of(rt, "orphan")
    assert await say(rt, opened["id"]) == Decided(incident=opened["id"], order=None, signal=None)
    (closed,) = await incidents_of(rt, "orphan")
    assert (closed["closed_by"], closed["decision"]) == ("a person", "looked at the book")
