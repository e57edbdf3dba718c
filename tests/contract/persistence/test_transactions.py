"""A transaction: what it keeps, what it undoes, and which values come back."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import bindparam, func, select, text, update

from ratchet.persistence.database import Database
from ratchet.persistence.errors import CheckViolation, StatementFailed, UniqueViolation
from ratchet.persistence.tables import control, event_log, ledger, positions
from ratchet.persistence.transaction import Transaction
from tests.contract.persistence.rows import EVENT, LEDGER, STAMP, a_booking, an_event
from tests.servers import eventually

COUNT = select(func.count().label("n")).select_from(ledger)
BY_REF = select(ledger).where(ledger.c.ref.in_(bindparam("refs", expanding=True))).order_by(ledger.c.ref)
NOTE = update(ledger).where(ledger.c.account == bindparam("account")).values(note=bindparam("new_note"))


async def stored(db: Database) -> int:
    async with db.reading() as tx:
        return int((await tx.one(COUNT))["n"])


async def test_what_a_block_wrote_is_kept_when_it_ends(database: Database) -> None:
    async with database.transaction() as tx:
        assert await tx.count(LEDGER, **a_booking()) == 1
    assert await stored(database) == 1


async def test_nothing_is_kept_when_the_block_raises(database: Database) -> None:
    with pytest.raises(LookupError):
        async with database.transaction() as tx:
            await tx.count(LEDGER, **a_booking())
            raise LookupError
    assert await stored(database) == 0


async def test_nothing_is_kept_when_the_task_is_cancelled(database: Database) -> None:
    written = asyncio.Event()

    async def hang() -> None:
        async with database.transaction() as tx:
            await tx.count(LEDGER, **a_booking())
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await asyncio.wait_for(written.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stored(database) == 0
    assert database.in_use == 0


async def test_a_failed_statement_loses_the_transaction_even_if_its_error_is_swallowed(database: Database) -> None:
    with pytest.raises(StatementFailed):
        async with database.transaction() as tx:
            await tx.count(LEDGER, **a_booking(ref="once"))
            with pytest.raises(UniqueViolation):
                await tx.count(LEDGER, **a_booking(ref="once"))
    assert await stored(database) == 0


async def test_values_come_back_as_what_they_were(database: Database) -> None:
    booking = a_booking(amount=Decimal("-0.0001"))
    async with database.transaction() as tx:
        await tx.count(LEDGER, **booking)
        await tx.count(EVENT, **an_event(data={"a": [1, None, "x"]}))
        row = await tx.one(BY_REF, refs=[booking["ref"]])
        event = await tx.one(select(event_log))
        switches = await tx.one(select(control))
        null_event = await tx.first(select(event_log).where(event_log.c.seq == 99))
    assert row == booking | {"at": STAMP}
    assert isinstance(row["id"], UUID)
    assert isinstance(row["amount"], Decimal)
    assert row["at"].utcoffset() is not None
    assert event["data"] == {"a": [1, None, "x"]}
    assert switches["entries_on"] is True
    assert null_event is None


async def test_a_report_reads_the_same_values(database: Database) -> None:
    booking = a_booking()
    async with database.transaction() as tx:
        await tx.count(LEDGER, **booking)
        await tx.count(EVENT, **an_event())
    async with database.reading() as tx:
        assert await tx.one(BY_REF, refs=[booking["ref"]]) == booking
        assert (await tx.one(select(event_log)))["data"] == {"lots": [1, 2]}


async def test_sums_are_exact_and_of_the_column_s_type(database: Database) -> None:
    total = select(func.sum(ledger.c.amount).label("amount"), func.max(positions.c.expiry).label("expiry")).select_from(
        ledger.outerjoin(positions, positions.c.id == ledger.c.position_id)
    )
    events = select(func.sum(event_log.c.seq).label("n"))
    async with database.transaction() as tx:
        await tx.many(LEDGER, [a_booking(amount=Decimal("0.1")), a_booking(amount=Decimal("0.2"))])
        await tx.many(EVENT, [an_event(seq=1), an_event(seq=2)])
        row = await tx.one(total)
        seq = (await tx.one(events))["n"]
    assert row == {"amount": Decimal("0.3"), "expiry": None}
    assert seq == 3
    assert isinstance(seq, int)


async def test_a_date_comes_back_as_a_date(database: Database) -> None:
    day = select(bindparam("day", type_=positions.c.expiry.type).label("day"))
    async with database.transaction() as tx:
        assert (await tx.one(day, day=date(2027, 1, 28)))["day"] == date(2027, 1, 28)


async def test_in_lists_take_any_number_of_values(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.many(LEDGER, [a_booking(ref=ref) for ref in "abc"])
        for refs in (["a", "c"], ["b"], [], ["a", "b", "c", "d"]):
            found = [row["ref"] for row in await tx.all(BY_REF, refs=refs)]
            assert found == [ref for ref in refs if ref in "abc"]


async def test_count_tells_how_many_rows_were_changed(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.many(LEDGER, [a_booking(), a_booking(), a_booking(account="other")])
        assert await tx.count(NOTE, account="main", new_note="seen") == 2
        assert await tx.count(NOTE, account="nobody", new_note="seen") == 0


async def test_rows_of_many_come_back_in_order(database: Database) -> None:
    returning = LEDGER.returning(ledger.c.ref)
    async with database.transaction() as tx:
        rows = await tx.many_returning(returning, [a_booking(ref=str(n)) for n in range(20)])
        assert [row["ref"] for row in rows] == [str(n) for n in range(20)]
        assert await tx.many_returning(returning, []) == []
        await tx.many(LEDGER, [])


@pytest.mark.parametrize("parameters", [{}, {"account": "a", "new_note": "n", "extra": 1}, {"account": "a"}])
async def test_a_missing_or_unknown_parameter_is_named(database: Database, parameters: dict[str, object]) -> None:
    with pytest.raises(StatementFailed, match=r"account|extra|new_note"):
        async with database.transaction() as tx:
            await tx.count(NOTE, **parameters)


async def test_one_row_means_exactly_one(database: Database) -> None:
    with pytest.raises(StatementFailed, match="0 rows"):
        async with database.transaction() as tx:
            await tx.one(select(ledger))


async def test_a_violated_constraint_is_named_alike(database: Database) -> None:
    with pytest.raises(UniqueViolation) as unique:
        async with database.transaction() as tx:
            await tx.many(LEDGER, [a_booking(ref="same"), a_booking(ref="same")])
    with pytest.raises(CheckViolation) as check:
        async with database.transaction() as tx:
            await tx.count(LEDGER, **a_booking(amount=Decimal(0)))
    booking = a_booking()
    with pytest.raises(UniqueViolation) as primary:
        async with database.transaction() as tx:
            await tx.many(LEDGER, [booking, booking | {"ref": "another"}])
    assert unique.value.constraint == "uq_ledger_account_ref"
    assert check.value.constraint == "ck_ledger_amount_not_zero"
    assert primary.value.constraint == "pk_ledger"


async def test_a_wrong_statement_is_a_mistake_and_not_an_outage(database: Database) -> None:
    with pytest.raises(StatementFailed):
        async with database.transaction() as tx:
            await tx.all(text("SELECT nothing FROM nowhere"))
    assert await stored(database) == 0


async def test_the_clock_is_the_database_s_and_moves_within_a_transaction(database: Database) -> None:
    async with database.transaction() as tx:
        first = await tx.now()
        await eventually(partial(_later, tx, first))
    assert first.tzinfo is not None
    assert abs((datetime.now(UTC) - first).total_seconds()) < 60


async def _later(tx: Transaction, first: datetime) -> bool:
    return await tx.now() > first


async def test_a_report_writes_nothing(database: Database) -> None:
    with pytest.raises(Exception, match="read"):
        async with database.reading() as tx:
            await tx.all(LEDGER.returning(ledger.c.id), **a_booking())
    assert await stored(database) == 0


async def test_a_report_sees_one_snapshot(database: Database) -> None:
    async with database.reading() as report:
        before = await report.one(COUNT)
        async with database.transaction() as tx:
            await tx.count(LEDGER, **a_booking())
        assert await report.one(COUNT) == before
    assert await stored(database) == 1


async def test_a_single_statement_is_its_own_transaction(database: Database) -> None:
    async with database.single(name="book") as tx:
        await tx.count(LEDGER, **a_booking())
    assert await stored(database) == 1


@pytest.mark.parametrize("error", [FileNotFoundError("mine"), TimeoutError("mine")])
async def test_an_error_of_the_block_s_own_is_not_taken_for_the_database_s(
    database: Database, error: Exception
) -> None:
    for block in (database.transaction(), database.single(name="single"), database.reading()):
        with pytest.raises(type(error), match="mine"):
            async with block as tx:
                await tx.now()
                raise error
    assert await stored(database) == 0
