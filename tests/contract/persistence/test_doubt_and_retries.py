"""When COMMIT is in doubt, when work is run again, and who is told after a commit."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from ratchet.failpoints import ConnectionCut
from ratchet.persistence.database import Database, DatabaseOptions
from ratchet.persistence.errors import (
    CommitInDoubt,
    DatabaseUnavailable,
    PersistenceError,
    TransientConflict,
    UniqueViolation,
)
from ratchet.persistence.tables import ledger
from ratchet.persistence.transaction import Transaction
from tests.contract.persistence.rows import LEDGER, a_booking
from tests.servers import eventually

COUNT = select(func.count().label("n")).select_from(ledger)
ONCE = {
    name: make(ledger).on_conflict_do_nothing(index_elements=["account", "ref"])
    for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


async def stored(db: Database) -> int:
    async with db.reading() as tx:
        return int((await tx.one(COUNT))["n"])


async def cut() -> None:
    raise ConnectionCut("by the test")


class Cuts:
    """Cuts the connection the first time."""

    def __init__(self) -> None:
        self.passed = 0

    async def __call__(self) -> None:
        self.passed += 1
        if self.passed == 1:
            raise ConnectionCut("by the test")


async def test_a_connection_lost_before_commit_left_nothing_behind(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction(before_commit=cut) as tx:
            await tx.count(LEDGER, **a_booking())
    assert await stored(database) == 0


async def test_a_connection_lost_after_commit_leaves_it_in_doubt_and_done(database: Database) -> None:
    with pytest.raises(CommitInDoubt):
        async with database.transaction(commit_in_doubt=cut) as tx:
            await tx.count(LEDGER, **a_booking())
    assert await stored(database) == 1


async def test_any_other_error_of_a_hook_before_commit_rolls_back(database: Database) -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        async with database.transaction(before_commit=fail) as tx:
            await tx.count(LEDGER, **a_booking())
    assert await stored(database) == 0


@pytest.mark.parametrize("hook", ["before_commit", "commit_in_doubt"])
async def test_idempotent_work_is_run_again_and_is_done_once(database: Database, hook: str) -> None:
    booking = a_booking()

    async def book(tx: Transaction) -> str:
        await tx.count(ONCE[tx.dialect], **booking)
        return "booked"

    cuts = Cuts()
    assert await database.run(book, name="book", **{hook: cuts}) == "booked"
    assert cuts.passed == 2
    assert await stored(database) == 1


async def run_failing(url: str, error: PersistenceError, **options: float) -> int:
    """Run work that fails always; return how often it was tried."""
    tried = 0

    async def fail(tx: Transaction) -> None:
        nonlocal tried
        tried += 1
        raise error

    db = Database(DatabaseOptions(url=url, retry_base_seconds=0.001, **options))  # type: ignore[arg-type]
    try:
        with pytest.raises(type(error)):
            await db.run(fail, name="fail")
    finally:
        await db.close()
    return tried


@pytest.mark.parametrize("error", [TransientConflict("x"), DatabaseUnavailable("x"), CommitInDoubt("x")])
async def test_work_is_tried_five_times_at_most(database_url: str, error: PersistenceError) -> None:
    assert await run_failing(database_url, error) == 5


async def test_a_refused_row_is_not_tried_again(database_url: str) -> None:
    assert await run_failing(database_url, UniqueViolation("uq", "x")) == 1


async def test_no_try_begins_after_the_total_time(database_url: str) -> None:
    assert await run_failing(database_url, TransientConflict("x"), retry_total_seconds=0.0) == 1


async def test_each_transaction_is_observed_with_its_outcome(database_url: str) -> None:
    seen: list[tuple[str, str]] = []
    db = Database(
        DatabaseOptions(url=database_url), observe=lambda name, seconds, outcome: seen.append((name, outcome))
    )
    async with db.transaction(name="good") as tx:
        await tx.now()
    with pytest.raises(CommitInDoubt):
        async with db.transaction(name="doubtful", commit_in_doubt=cut) as tx:
            await tx.now()
    with pytest.raises(LookupError):
        async with db.transaction(name="bad") as tx:
            raise LookupError
    await db.close()
    assert seen == [("good", "ok"), ("doubtful", "in_doubt"), ("bad", "error")]


async def test_listeners_are_told_after_a_commit_and_not_after_a_rollback(database: Database) -> None:
    heard: list[str] = []
    database.listen("work", heard.append)
    if database.dialect == "postgresql":
        await eventually(lambda: heard == [""])  # from here on it hears everything
        heard.clear()
    with pytest.raises(LookupError):
        async with database.transaction() as tx:
            await database.notify(tx, "work", "undone")
            raise LookupError
    async with database.transaction() as tx:
        await database.notify(tx, "other", "elsewhere")
        await database.notify(tx, "work", "done")
        assert heard == []
    await eventually(lambda: heard == ["done"])


async def test_a_closed_database_refuses_at_once(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.now()
    await database.close()
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as tx:
            await tx.now()
