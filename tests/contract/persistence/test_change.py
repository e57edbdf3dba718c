"""Several changes in one round trip: all of them, or none."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from sqlalchemy import bindparam, select, update

from ratchet.persistence import events, money
from ratchet.persistence.database import Database
from ratchet.persistence.errors import StaleRow
from ratchet.persistence.tables import event_log, portfolio
from ratchet.persistence.transaction import Transaction, Write

_SEQUENCE = select(event_log.c.seq, event_log.c.kind).where(event_log.c.stream == "s").order_by(event_log.c.seq)
_RESERVED = select(portfolio.c.account, portfolio.c.reserved).order_by(portfolio.c.account)
_RAISE = (
    update(portfolio)
    .where(
        portfolio.c.reserved < bindparam("new_reserved"),
        portfolio.c.account != bindparam("k_but"),
    )
    .values(reserved=bindparam("new_reserved", type_=portfolio.c.reserved.type))
)


async def _accounts(database: Database, *names: str) -> None:
    async with database.transaction() as tx:
        for name in names:
            await money.ensure(tx, name, Decimal(0))


async def _reserved(database: Database) -> list[tuple[str, Decimal]]:
    async with database.reading() as tx:
        return [(row["account"], row["reserved"]) for row in await tx.all(_RESERVED)]


def _events(tx: Transaction, kinds: Sequence[str]) -> list[Write]:
    return [events.appending(tx, stream="s", kind=kind, actor="a", ahead=n) for n, kind in enumerate(kinds)]


async def test_every_change_is_made_whatever_the_number_of_its_parameters(database: Database) -> None:
    await _accounts(database, "a", "b")
    async with database.transaction() as tx:
        purses = [await money.lock(tx, name) for name in ("a", "b")]
        saved = [money.saving(purse) for purse in purses]  # each has nine parameters: $1 is not part of $10
        await tx.change(*saved, *_events(tx, ["one"]))
    async with database.reading() as tx:
        assert [row["kind"] for row in await tx.all(_SEQUENCE)] == ["one"]
    assert await _reserved(database) == [("a", Decimal(0)), ("b", Decimal(0))]


async def test_events_of_one_stream_are_numbered_in_their_order(database: Database) -> None:
    for kinds in (["one", "two"], ["three"], ["four", "five"]):
        async with database.transaction() as tx:
            await tx.change(*_events(tx, kinds))
    async with database.reading() as tx:
        found = [(row["seq"], row["kind"]) for row in await tx.all(_SEQUENCE)]
    assert found == list(enumerate(["one", "two", "three", "four", "five"], start=1))


async def test_nothing_is_kept_if_one_row_had_been_changed_by_others(database: Database) -> None:
    await _accounts(database, "a")
    with pytest.raises(StaleRow, match="0 rows changed where one was to"):
        async with database.transaction() as tx:
            none = Write(_RAISE, {"k_but": "a", "new_reserved": Decimal(5)})
            await tx.change(*_events(tx, ["lost"]), none)
    async with database.reading() as tx:
        assert await tx.all(_SEQUENCE) == []


async def test_a_change_may_be_allowed_to_meet_any_number_of_rows(database: Database) -> None:
    await _accounts(database, "a", "b", "c")
    for but in ("a", "a", "nobody"):
        async with database.transaction() as tx:
            raised = Write(_RAISE, {"k_but": but, "new_reserved": Decimal(5)}, exactly_one=False)
            await tx.change(*_events(tx, ["raised"]), raised)
    assert await _reserved(database) == [("a", Decimal(5)), ("b", Decimal(5)), ("c", Decimal(5))]


async def test_stale_rows_are_tried_again(database: Database) -> None:
    await _accounts(database, "a")
    tries: list[int] = []

    async def work(tx: Transaction) -> None:
        tries.append(len(tries))
        but = "a" if len(tries) == 1 else "nobody"
        await tx.change(Write(_RAISE, {"k_but": but, "new_reserved": Decimal(len(tries))}))

    await database.run(work, name="t5")
    assert await _reserved(database) == [("a", Decimal(2))]
