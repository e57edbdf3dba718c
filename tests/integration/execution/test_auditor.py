"""The auditor's teeth: for each invariant the smallest violation is found, and nothing else is."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from ratchet.brokers.audit_book import AuditBook
from ratchet.domain.orders import IntentState, Side
from ratchet.domain.signals import SignalStatus
from ratchet.execution.auditor import MEANINGS, audit
from ratchet.persistence import control, incidents, rollovers
from ratchet.persistence.tables import rollover
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime
from tests.contract.persistence.rows import EVENT, STAMP, add_intent, add_signal, an_event
from tests.integration.execution.seeds import (
    GOLD,
    a_book,
    a_book_order,
    add_layer,
    an_entry,
    at,
    name_order,
)

ENDED = {"signal_ts": STAMP, "sent_at": at(5, 1), "terminal_at": at(5, 2), "broker_day": STAMP.date()}
CONTRACT = ("main", "MCX", GOLD)


async def seed(rt: Runtime, work: Callable[[Transaction], Awaitable[object]]) -> None:
    async with rt.db.transaction() as tx:
        await work(tx)


async def violated(rt: Runtime, book: AuditBook | None = None) -> set[str]:
    findings = await audit(rt, book=book if book is not None else a_book())
    assert [finding.invariant for finding in findings] == list(MEANINGS)
    assert all(len(finding.rows) == finding.count for finding in findings)
    return {finding.invariant for finding in findings if finding.count}


async def test_an_untouched_database_violates_nothing(rt: Runtime) -> None:
    assert await violated(rt) == set()


async def test_a_broker_that_tells_less_leaves_three_questions_unasked(rt: Runtime) -> None:
    findings = await audit(rt)
    assert {finding.invariant for finding in findings if finding.skipped} == {"I1", "I6", "I18"}
    assert all(finding.count == 0 for finding in findings)


async def test_i1_two_orders_of_one_intent(rt: Runtime) -> None:
    ghost = str(uuid4())

    async def rows(tx: Transaction) -> None:
        await name_order(tx, "1")
        await name_order(tx, "2")

    await seed(rt, rows)
    twins = a_book(an_entry(a_book_order("1", filled=0), ghost), an_entry(a_book_order("2", filled=0), ghost))
    assert await violated(rt, twins) == {"I1"}
    strangers = a_book(an_entry(a_book_order("1")), an_entry(a_book_order("2")))
    assert await violated(rt, strangers) == set()


async def test_i2_a_leg_that_was_sent_twice(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        await add_intent(tx, IntentState.NOT_PLACED, origin="o", attempt=1, **ENDED)
        later = {"sent_at": at(5, 3), "terminal_at": at(5, 4)}
        await add_intent(tx, IntentState.NOT_PLACED, origin="o", attempt=2, **{**ENDED, **later})

    await seed(rt, rows)
    assert await violated(rt) == {"I2"}


async def test_i2_an_order_after_a_proven_end_is_no_second_one(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        await add_intent(tx, IntentState.REFUSED, origin="o", attempt=1, **ENDED)
        await add_intent(tx, IntentState.NOT_PLACED, origin="o", attempt=2, **{**ENDED, "sent_at": at(5, 3)})

    await seed(rt, rows)
    assert await violated(rt) == set()


async def test_i3_a_signal_that_does_not_end(rt: Runtime) -> None:
    await seed(rt, lambda tx: add_signal(tx, SignalStatus.PROCESSING, received_at=at(5, 0) - timedelta(days=3000)))
    assert await violated(rt) == {"I3"}


async def test_i3_a_review_that_nobody_was_told_of(rt: Runtime) -> None:
    await seed(rt, lambda tx: add_signal(tx, SignalStatus.REVIEW))
    assert await violated(rt) == {"I3"}


async def test_i3_holds_what_a_person_was_told_of_and_what_stands_behind_it(rt: Runtime) -> None:
    old = at(5, 0) - timedelta(days=3000)

    async def rows(tx: Transaction) -> None:
        told = await add_signal(tx, SignalStatus.REVIEW)
        await incidents.open_incident(
            tx, account="main", kind="exit_stuck", summary="stuck", actor="test", signal_id=told
        )
        await add_signal(tx, SignalStatus.PROCESSING, received_at=old)
        by_intent = {"fingerprint": "f2", "instrument": "COPPER"}
        await add_signal(tx, SignalStatus.REVIEW, **by_intent)
        intent = await add_intent(tx, IntentState.REVIEW, origin="f2", instrument="COPPER")
        await incidents.open_incident(
            tx, account="main", kind="unresolved", summary="unknown", actor="test", intent_id=intent
        )

    await seed(rt, rows)
    assert await violated(rt) == set()


async def test_i3_an_exit_waits_for_the_next_session(rt: Runtime) -> None:
    opens = {"not_before": at(5, 0).replace(year=2099).isoformat()}
    old = at(5, 0) - timedelta(days=3000)
    await seed(rt, lambda tx: add_signal(tx, SignalStatus.PROCESSING, received_at=old, detail=opens))
    assert await violated(rt) == set()


async def test_i4_a_signal_that_ends_twice(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        await tx.count(EVENT, **an_event(seq=1, kind="terminal:executed"))
        await tx.count(EVENT, **an_event(seq=2, kind="terminal:failed"))

    await seed(rt, rows)
    assert await violated(rt) == {"I4"}


async def test_i5_an_end_that_the_book_does_not_bear_out(rt: Runtime) -> None:
    await seed(rt, lambda tx: add_intent(tx, IntentState.CANCELLED, broker_order_id="1", symbol=GOLD, **ENDED))
    assert await violated(rt, a_book(an_entry(a_book_order("1", filled=40)))) == {"I5"}
    assert await violated(rt, a_book()) == {"I5"}
    assert await violated(rt, a_book(an_entry(a_book_order("1", filled=0)))) == set()


async def test_i6_an_order_of_an_intent_that_denies_it(rt: Runtime) -> None:
    made: list[UUID] = []

    async def rows(tx: Transaction) -> None:
        made.append(await add_intent(tx, IntentState.NOT_PLACED, **ENDED))

    await seed(rt, rows)
    book = a_book(an_entry(a_book_order("1"), ghost=str(made[0])))
    assert await violated(rt, book) == {"I6", "I7"}
    await seed(rt, lambda tx: name_order(tx, "1"))
    assert await violated(rt, book) == set()


async def test_i7_an_order_without_an_owner(rt: Runtime) -> None:
    book = a_book(an_entry(a_book_order("1")))
    assert await violated(rt, book) == {"I7"}
    await seed(rt, lambda tx: add_intent(tx, IntentState.UNKNOWN, symbol=GOLD))
    assert await violated(rt, book) == set()


async def test_i7_an_order_that_an_intent_took_for_its_own(rt: Runtime) -> None:
    intent = uuid4()

    async def rows(tx: Transaction) -> None:
        await add_intent(tx, IntentState.WORKING, id=intent, symbol=GOLD, broker_order_id="1", broker_day=STAMP.date())

    await seed(rt, rows)
    assert await violated(rt, a_book(an_entry(a_book_order("1"), str(intent)))) == set()
    assert await violated(rt, a_book(an_entry(a_book_order("1"), ""))) == {"I7"}
    assert await violated(rt, a_book(an_entry(a_book_order("1"), str(uuid4())))) == {"I7"}


async def test_i8_money_that_is_not_the_sum_of_its_parts(rt: Runtime) -> None:
    async def counted(change: str) -> list[str]:
        await seed(rt, lambda tx: tx.count(text(change)))
        (found,) = [f for f in await audit(rt, book=a_book()) if f.count]
        assert found.invariant == "I8"
        return [row["what"] for row in found.rows]

    assert await counted("UPDATE portfolio SET reserved = 50000") == ["reserved"]
    assert await counted("UPDATE portfolio SET reserved = 0, used = 50000") == ["used"]
    assert await counted("UPDATE portfolio SET used = 0, closed_equity = 50000") == ["closed_equity"]


async def test_i8_counts_what_is_reserved_for_orders_in_flight_and_in_review(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        await add_intent(tx, IntentState.WORKING, reserved=Decimal(7))
        await add_intent(tx, IntentState.REVIEW, reserved=Decimal(5))

    await seed(rt, rows)
    found = {f.invariant: f.rows for f in await audit(rt, book=a_book()) if f.count}
    assert found == {"I8": [{"account": "main", "what": "reserved", "has": Decimal(0), "should_be": Decimal(12)}]}


async def held_and_filled(rt: Runtime, quantity: int) -> AuditBook:
    """Seed a layer with its bound order; return the book that agrees with them."""
    side = Side.BUY if quantity > 0 else Side.SELL

    async def rows(tx: Transaction) -> None:
        await add_layer(tx, quantity)
        values: dict[str, Any] = {"symbol": GOLD, "side": str(side), "filled": abs(quantity), "broker_order_id": "1"}
        await add_intent(tx, IntentState.FILLED, **{**ENDED, **values})

    await seed(rt, rows)
    return a_book(an_entry(a_book_order("1", side=side, filled=abs(quantity))), positions={CONTRACT: quantity})


async def test_three_books_that_agree_violate_nothing(rt: Runtime) -> None:
    assert await violated(rt, await held_and_filled(rt, 100)) == set()


async def test_i9_what_is_held_on_the_wrong_side(rt: Runtime) -> None:
    book = await held_and_filled(rt, -100)
    (found,) = [f for f in await audit(rt, book=book) if f.count]
    assert found.invariant == "I9"
    assert [row["where"] for row in found.rows] == ["layer", "broker"]


async def test_i10_fills_that_no_layer_holds(rt: Runtime) -> None:
    await seed(rt, lambda tx: add_layer(tx, 100))
    assert await violated(rt, a_book(positions={CONTRACT: 100})) == {"I10"}


async def test_i10_a_position_that_differs_at_the_broker(rt: Runtime) -> None:
    agreed = await held_and_filled(rt, 100)
    differing = a_book(*agreed.orders, positions={CONTRACT: 60})
    assert await violated(rt, differing) == {"I10"}

    async def told(tx: Transaction) -> None:
        await incidents.open_incident(
            tx, account="main", kind="mismatch", summary="differs", actor="test", exchange="MCX", symbol=GOLD
        )

    await seed(rt, told)
    assert await violated(rt, differing) == set()


async def test_i11_two_orders_in_flight_on_one_slot(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        await tx.count(text("DROP INDEX uq_order_intent_slot"))
        await add_intent(tx, IntentState.WORKING)
        await add_intent(tx, IntentState.PENDING)

    await seed(rt, rows)
    assert await violated(rt) == {"I11"}


async def test_i11_an_order_that_was_sent_while_the_one_before_had_not_ended(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        await add_intent(tx, IntentState.NOT_PLACED, **ENDED)
        meanwhile = {"sent_at": at(5, 1, 30), "terminal_at": at(5, 3)}
        await add_intent(tx, IntentState.NOT_PLACED, **{**ENDED, **meanwhile})

    await seed(rt, rows)
    assert await violated(rt) == {"I11"}


async def test_i12_an_event_that_is_missing(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        await tx.count(EVENT, **an_event(seq=1))
        await tx.count(EVENT, **an_event(seq=3))

    await seed(rt, rows)
    assert await violated(rt) == {"I12"}


async def an_entry_and_an_exit(rt: Runtime, **changes: Any) -> None:
    """Seed an entry of 05:00:00, and an exit of 05:00:10 that was accepted at 05:00:12 and claimed at 05:00:13."""

    async def rows(tx: Transaction) -> None:
        times = {"signal_ts": at(5, 0, 10), "received_at": at(5, 0, 12), "processed_at": at(5, 0, 13)}
        await add_signal(tx, SignalStatus.EXECUTED, seq=2, **times)
        entry = {"kind": "BASE_ENTRY", "layer": "Long_1", "signal_ts": at(5, 0), "fingerprint": "f"}
        await add_signal(tx, SignalStatus.FAILED, **entry)
        await tx.count(text(f"UPDATE lane SET exit_watermark = '{_instant(tx)}' WHERE instrument = 'GOLD_MINI'"))
        sent = {"signal_ts": at(5, 0), "broker_day": STAMP.date(), "terminal_at": at(5, 2)}
        await add_intent(tx, IntentState.NOT_PLACED, origin="f", **{**sent, **changes})

    await seed(rt, rows)


def _instant(tx: Transaction) -> str:
    return "2027-01-11T05:00:10.000000Z" if tx.dialect == "sqlite" else "2027-01-11 05:00:10+00"


async def test_i13_an_entry_sent_past_an_exit(rt: Runtime) -> None:
    await an_entry_and_an_exit(rt, sent_at=at(5, 0, 14))
    assert await violated(rt) == {"I13"}


async def test_i13_an_entry_sent_before_the_exit_was_accepted(rt: Runtime) -> None:
    await an_entry_and_an_exit(rt, sent_at=at(5, 0, 11))
    assert await violated(rt) == set()


async def test_i14_an_entry_sent_while_entries_were_off(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        off, on = {"entries_on": False}, {"entries_on": True}
        await tx.count(EVENT, **an_event(stream="control", seq=1, at=at(5, 0), kind="switched", data=off))
        await tx.count(EVENT, **an_event(stream="control", seq=2, at=at(6, 0), kind="switched", data=on))
        await add_intent(tx, IntentState.NOT_PLACED, **{**ENDED, "sent_at": at(4, 59), "terminal_at": at(5, 0)})
        await add_intent(tx, IntentState.NOT_PLACED, **{**ENDED, "sent_at": at(6, 1), "terminal_at": at(6, 2)})

    await seed(rt, rows)
    assert await violated(rt) == set()
    meanwhile = {**ENDED, "sent_at": at(5, 30), "terminal_at": at(5, 31)}
    await seed(rt, lambda tx: add_intent(tx, IntentState.NOT_PLACED, **meanwhile))
    assert await violated(rt) == {"I14"}


async def test_i14_sees_a_switch_that_is_still_off(rt: Runtime) -> None:
    await seed(rt, lambda tx: control.switch(tx, entries_on=False, exits_on=True, reason="test", actor="test"))
    await seed(rt, lambda tx: add_intent(tx, IntentState.NOT_PLACED, **{**ENDED, "purpose": "exit"}))
    assert await violated(rt) == set()
    late = {**ENDED, "sent_at": at(6, 0).replace(year=2098), "terminal_at": at(6, 1).replace(year=2098)}
    await seed(rt, lambda tx: add_intent(tx, IntentState.NOT_PLACED, **late))
    assert await violated(rt) == {"I14"}


async def test_i15_a_fingerprint_that_is_stored_twice(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        await add_signal(tx, SignalStatus.EXECUTED, fingerprint="f")
        await add_signal(tx, SignalStatus.EXECUTED, fingerprint="f", signal_ts=at(5, 1))

    await seed(rt, rows)
    assert await violated(rt) == {"I15"}


async def test_i16_a_leg_of_a_roll_that_was_done_twice(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        roll = str(uuid4())
        for attempt in (1, 2):
            await add_intent(tx, IntentState.FILLED, purpose="roll_open", origin=roll, attempt=attempt)

    await seed(rt, rows)
    assert await violated(rt) == {"I16"}


@pytest.mark.parametrize(("lots", "found"), [(2, set[str]()), (1, {"I16"})])
async def test_i16_allows_the_slices_of_a_leg(rt: Runtime, lots: int, found: set[str]) -> None:
    async def rows(tx: Transaction) -> None:
        layer = await add_layer(tx, 0)
        assert await rollovers.begin(tx, layer, old_contract="A", detail={"lots": lots})
        (roll,) = await tx.all(select(rollover.c.id))
        for attempt in (1, 2):
            leg = {
                "purpose": "roll_open",
                "origin": str(roll["id"]),
                "attempt": attempt,
                "quantity": 10,
                "lot_size": 10,
            }
            await add_intent(tx, IntentState.FILLED, **leg)

    await seed(rt, rows)
    assert await violated(rt) == found


async def test_i16_a_layer_with_two_rolls_under_way(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        layer = await add_layer(tx, 0)
        await rollovers.drop_unfinished_index(tx)
        for contract in ("A+B", "A"):
            assert await rollovers.begin(tx, layer, old_contract=contract, detail={})

    await seed(rt, rows)
    assert await violated(rt) == {"I16"}


async def test_i17_an_earlier_leader_that_wrote_after_a_later_one(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        await tx.count(text("UPDATE leader_fence SET epoch = 9"))
        await tx.count(EVENT, **an_event(seq=1, leader_epoch=8))
        await tx.count(EVENT, **an_event(seq=2, leader_epoch=8))
        await tx.count(EVENT, **an_event(stream="t", seq=1, leader_epoch=9))

    await seed(rt, rows)
    assert await violated(rt) == set()
    await seed(rt, lambda tx: tx.count(EVENT, **an_event(stream="t", seq=2, leader_epoch=8)))
    assert await violated(rt) == {"I17"}


async def test_i17_an_epoch_that_was_never_given(rt: Runtime) -> None:
    await seed(rt, lambda tx: tx.count(EVENT, **an_event(leader_epoch=7)))
    assert await violated(rt) == {"I17"}


async def test_i18_more_calls_in_a_second_than_the_broker_allows(rt: Runtime) -> None:
    full = tuple(at(5, 0) + timedelta(milliseconds=90 * n) for n in range(11))
    assert await violated(rt, a_book(calls=full)) == {"I18"}
    assert await violated(rt, a_book(calls=full[:10])) == set()


async def test_many_violations_are_counted_and_sampled(rt: Runtime) -> None:
    async def rows(tx: Transaction) -> None:
        for number in range(25):
            await tx.count(EVENT, **an_event(stream=f"s{number}", seq=2))

    await seed(rt, rows)
    (found,) = [finding for finding in await audit(rt, book=a_book()) if finding.count]
    assert (found.invariant, found.count, len(found.rows)) == ("I12", 25, 20)
