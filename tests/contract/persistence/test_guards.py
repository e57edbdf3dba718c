"""What the schema itself refuses: impossible changes of state, falling fills, a rewritten log."""

from itertools import permutations

import pytest
from sqlalchemy import bindparam, delete, update

from ratchet.domain import orders, signals
from ratchet.domain.orders import IntentState
from ratchet.domain.signals import SignalStatus
from ratchet.persistence.database import Database
from ratchet.persistence.errors import CheckViolation, PersistenceError
from ratchet.persistence.tables import event_log, order_intent, signal_log
from ratchet.persistence.transaction import Transaction
from tests.contract.persistence.rows import EVENT, add_intent, add_signal, an_event

MOVE_INTENT = update(order_intent).where(order_intent.c.id == bindparam("k_id")).values(state=bindparam("after"))
MOVE_SIGNAL = update(signal_log).where(signal_log.c.id == bindparam("k_id")).values(status=bindparam("after"))
FILL = update(order_intent).where(order_intent.c.id == bindparam("k_id")).values(filled=bindparam("after"))


class Undo(Exception):
    """Ends a transaction without keeping it."""


async def move_intent(tx: Transaction, before: IntentState, after: IntentState) -> None:
    key = await add_intent(tx, before)
    await tx.count(MOVE_INTENT, k_id=key, after=str(after))
    raise Undo


async def move_signal(tx: Transaction, before: SignalStatus, after: SignalStatus) -> None:
    key = await add_signal(tx, before)
    await tx.count(MOVE_SIGNAL, k_id=key, after=str(after))
    raise Undo


async def test_an_intent_changes_only_along_its_table(database: Database) -> None:
    for before, after in permutations(IntentState, 2):
        allowed = after in orders.NEXT[before]
        with pytest.raises(Undo if allowed else CheckViolation) as outcome:
            async with database.transaction() as tx:
                await move_intent(tx, before, after)
        assert allowed or outcome.value.constraint == "order_intent_transition", f"{before} -> {after}"  # type: ignore[attr-defined]


async def test_a_signal_changes_only_along_its_table(database: Database) -> None:
    for before, after in permutations(SignalStatus, 2):
        allowed = after in signals.NEXT[before]
        with pytest.raises(Undo if allowed else CheckViolation) as outcome:
            async with database.transaction() as tx:
                await move_signal(tx, before, after)
        assert allowed or outcome.value.constraint == "signal_log_transition", f"{before} -> {after}"  # type: ignore[attr-defined]


async def test_an_unknown_state_is_refused(database: Database) -> None:
    with pytest.raises(CheckViolation) as outcome:
        async with database.transaction() as tx:
            await tx.count(MOVE_INTENT, k_id=await add_intent(tx, IntentState.PENDING), after="SENT")
    assert outcome.value.constraint in ("order_intent_transition", "ck_order_intent_state_known")


async def test_a_filled_quantity_never_falls(database: Database) -> None:
    with pytest.raises(CheckViolation) as outcome:
        async with database.transaction() as tx:
            key = await add_intent(tx, IntentState.WORKING)
            assert await tx.count(FILL, k_id=key, after=40) == 1
            assert await tx.count(FILL, k_id=key, after=40) == 1
            await tx.count(FILL, k_id=key, after=39)
    assert outcome.value.constraint == "order_intent_filled_grows"


@pytest.mark.parametrize(
    "change", [update(event_log).values(kind="other"), delete(event_log)], ids=["update", "delete"]
)
async def test_the_event_log_only_grows(database: Database, change: object) -> None:
    async with database.transaction() as tx:
        await tx.count(EVENT, **an_event())
    with pytest.raises(PersistenceError) as outcome:
        async with database.transaction() as tx:
            await tx.count(change)  # type: ignore[arg-type]
    assert isinstance(outcome.value, CheckViolation)
    assert outcome.value.constraint == "event_log_append_only"


async def test_a_slot_takes_one_intent_in_flight(database: Database) -> None:
    async with database.transaction() as tx:
        await add_intent(tx, IntentState.UNKNOWN)
        await add_intent(tx, IntentState.UNKNOWN, side="SELL")
        await add_intent(tx, IntentState.FILLED)
    with pytest.raises(PersistenceError) as outcome:
        async with database.transaction() as tx:
            await add_intent(tx, IntentState.PENDING)
    assert getattr(outcome.value, "constraint", None) == "uq_order_intent_slot"
