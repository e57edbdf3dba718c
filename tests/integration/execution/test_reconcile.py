"""The broker's books against ours: what is found, when sending opens, and what stays silent."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from ratchet.brokers.base import BrokerUnreachable
from ratchet.domain.identity import BrokerOrderId, IntentId
from ratchet.domain.orders import IntentState
from ratchet.domain.reconciliation import Case
from ratchet.execution import reconcile
from ratchet.persistence import control, incidents, intents
from ratchet.persistence.control import Control
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime
from tests.contract.persistence.rows import add_intent
from tests.fakes.broker import MemoryBroker
from tests.integration.execution.seeds import GOLD, a_book_order, add_layer, incidents_of

HELD = {("MCX", GOLD): 100}


async def switches(rt: Runtime) -> Control:
    async with rt.db.transaction() as tx:
        return await control.read(tx)


async def seed_layer(rt: Runtime, quantity: int = 100) -> None:
    async with rt.db.transaction() as tx:
        await add_layer(tx, quantity)


async def test_a_fresh_database_sends_nothing_until_every_book_was_read(rt: Runtime, broker: MemoryBroker) -> None:
    assert not (await switches(rt)).audited
    broker.trouble = BrokerUnreachable("down")
    assert await reconcile.run(rt) == {}
    assert not (await switches(rt)).audited
    broker.trouble = None
    found = await reconcile.run(rt)
    assert found["main"].agree
    assert (await switches(rt)).audited


async def test_an_order_that_nobody_owns_is_one_incident_however_often_it_is_seen(
    rt: Runtime, broker: MemoryBroker
) -> None:
    broker.orders = [a_book_order("7001", filled=0, status="cancelled")]
    await reconcile.run(rt)
    await reconcile.run(rt)
    (found,) = await incidents_of(rt, "orphan")
    assert (found["broker_order_id"], found["symbol"], found["side"]) == ("7001", GOLD, "BUY")
    assert (await switches(rt)).audited


async def test_an_order_that_an_unknown_intent_may_still_claim_is_left_to_it(rt: Runtime, broker: MemoryBroker) -> None:
    async with rt.db.transaction() as tx:
        await add_intent(tx, IntentState.UNKNOWN, symbol=GOLD, baseline=["6999"])
    broker.orders = [a_book_order("7001"), a_book_order("6999")]
    await reconcile.run(rt)
    assert [row["broker_order_id"] for row in await incidents_of(rt, "orphan")] == ["6999"]


async def test_a_bound_order_is_no_orphan(rt: Runtime, broker: MemoryBroker) -> None:
    async with rt.db.transaction() as tx:
        today = (await tx.now()).date()
        await add_intent(tx, IntentState.WORKING, symbol=GOLD, broker_order_id="7001", broker_day=today)
    broker.orders = [a_book_order("7001")]
    await reconcile.run(rt)
    assert await incidents_of(rt, "orphan") == []


async def test_an_answer_that_is_recorded_between_the_reads_does_not_make_our_own_order_a_stranger(
    rt: Runtime, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rt.db.transaction() as tx:
        today = (await tx.now()).date()
        sent = await intents.get(
            tx,
            IntentId(await add_intent(tx, IntentState.SENDING, symbol=GOLD, broker_day=today, sent_at=await tx.now())),
        )
    broker.orders = [a_book_order("7001")]
    answered = False

    def with_an_answer_after(read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapped(tx: Transaction, *args: Any) -> Any:
            nonlocal answered
            found = await read(tx, *args)
            if not answered:
                answered = True
                await tx.change(intents.binding(tx, sent, order_id=BrokerOrderId("7001"), how="answered"))
            return found

        return wrapped

    for name in ("bound_orders", "in_flight"):
        monkeypatch.setattr(intents, name, with_an_answer_after(getattr(intents, name)))
    await reconcile.run(rt)
    assert answered
    assert await incidents_of(rt, "orphan") == []


async def test_a_lasting_difference_is_an_incident_that_closes_itself(rt: Runtime, broker: MemoryBroker) -> None:
    await seed_layer(rt)
    broker.held = [{("MCX", GOLD): 40}]
    found = await reconcile.run(rt)
    assert [f.case for f in found["main"].differences] == [Case.QUANTITY_DIFFERS]
    await reconcile.run(rt)
    (opened,) = await incidents_of(rt, "mismatch")
    assert opened["data"] == {"case": "quantity_differs", "ours": 100, "theirs": 40}
    assert opened["closed_at"] is None
    broker.held = [HELD]
    await reconcile.run(rt)
    (closed,) = await incidents_of(rt, "mismatch")
    assert closed["closed_by"] == reconcile.CLOSED_BY


async def test_a_difference_that_the_second_look_does_not_show_is_none(rt: Runtime, broker: MemoryBroker) -> None:
    await seed_layer(rt)
    broker.held = [{}, HELD]
    found = await reconcile.run(rt)
    assert found["main"].agree
    assert broker.asked_positions == 2
    assert await incidents_of(rt, "mismatch") == []


async def test_a_difference_that_changes_between_the_looks_is_not_yet_one(rt: Runtime, broker: MemoryBroker) -> None:
    await seed_layer(rt)
    broker.held = [{}, {("MCX", GOLD): 50}]
    await reconcile.run(rt)
    assert await incidents_of(rt, "mismatch") == []


async def test_a_contract_with_an_order_under_way_is_not_compared(rt: Runtime, broker: MemoryBroker) -> None:
    async with rt.db.transaction() as tx:
        await add_intent(tx, IntentState.WORKING, symbol=GOLD)
    broker.held = [HELD]
    found = await reconcile.run(rt)
    assert found["main"].findings == ()
    assert await incidents_of(rt, "mismatch") == []


async def test_what_an_exit_could_oversell_closes_its_slot(rt: Runtime, broker: MemoryBroker) -> None:
    await seed_layer(rt)
    broker.held = [{("MCX", GOLD): 40}]
    await reconcile.run(rt)
    async with rt.db.transaction() as tx:
        sale = await intents.get(tx, IntentId(await add_intent(tx, IntentState.PENDING, symbol=GOLD, side="SELL")))
        assert await intents.slot_has_incident(tx, sale)


async def test_more_at_the_broker_than_ours_leaves_exits_open(rt: Runtime, broker: MemoryBroker) -> None:
    await seed_layer(rt)
    broker.held = [{("MCX", GOLD): 150}]
    await reconcile.run(rt)
    (opened,) = await incidents_of(rt, "mismatch")
    assert opened["side"] is None


async def test_an_opposite_sign_stops_entries(rt: Runtime, broker: MemoryBroker) -> None:
    await seed_layer(rt)
    broker.held = [{("MCX", GOLD): -100}]
    await reconcile.run(rt)
    assert not (await switches(rt)).entries_on
    assert (await switches(rt)).exits_on


async def test_the_wrong_mode_stops_entries_and_audits_nothing(rt: Runtime, broker: MemoryBroker) -> None:
    broker.server_mode = "analyze"
    await reconcile.run(rt)
    now = await switches(rt)
    assert (now.entries_on, now.exits_on, now.audited) == (False, True, False)
    (found,) = await incidents_of(rt, "kill_switch")
    assert "analyze" in found["summary"]


async def test_more_open_incidents_than_the_limit_stop_entries(rt: Runtime, broker: MemoryBroker) -> None:
    limit = rt.portfolio.limits.open_incidents
    broker.orders = [a_book_order(str(n)) for n in range(limit)]
    await reconcile.run(rt)
    assert (await switches(rt)).entries_on
    broker.orders.append(a_book_order("one more"))
    await reconcile.run(rt)
    assert not (await switches(rt)).entries_on


async def test_alarms_that_close_by_themselves_do_not_stop_entries(rt: Runtime) -> None:
    async with rt.db.transaction() as tx:
        for n in range(rt.portfolio.limits.open_incidents + 1):
            for kind in incidents.ALARMS:
                await incidents.open_incident(
                    tx, account="main", kind=kind, summary="an alarm", actor="test", instrument=f"I{n}"
                )
    await reconcile.run(rt)
    assert (await switches(rt)).entries_on


async def test_a_decided_orphan_is_not_found_again(rt: Runtime, broker: MemoryBroker) -> None:
    broker.orders = [a_book_order("7001")]
    await reconcile.run(rt)
    (found,) = await incidents_of(rt, "orphan")
    async with rt.db.transaction() as tx:
        await incidents.close(tx, UUID(str(found["id"])), by="a person", decision="placed by hand")
    await reconcile.run(rt)
    assert len(await incidents_of(rt, "orphan")) == 1
