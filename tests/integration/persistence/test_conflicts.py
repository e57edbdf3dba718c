"""Others at the same rows: isolation, locks, deadlocks, time-outs, a standby that does not answer."""

import asyncio
import sqlite3
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import bindparam, func, select, text, update

from ratchet.persistence.database import Database, DatabaseOptions
from ratchet.persistence.errors import DatabaseUnavailable, TransientConflict
from ratchet.persistence.tables import ledger
from ratchet.persistence.transaction import Transaction
from tests.contract.persistence.rows import LEDGER, a_booking
from tests.servers import PostgresServer, eventually

COUNT = select(func.count().label("n")).select_from(ledger)
NOTE = update(ledger).where(ledger.c.ref == bindparam("k_ref")).values(note=bindparam("new_note"))
ISOLATION = text(
    "SELECT current_setting('transaction_isolation') AS level, current_setting('transaction_read_only') AS read_only"
)
SETTINGS = text("SELECT name, setting FROM pg_settings")


async def stored(db: Database) -> int:
    async with db.reading() as tx:
        return int((await tx.one(COUNT))["n"])


async def test_every_kind_of_block_has_its_stated_isolation(postgres: Database) -> None:
    async with postgres.transaction() as tx:
        assert await tx.one(ISOLATION) == {"level": "read committed", "read_only": "off"}
    async with postgres.single(name="single") as tx:
        assert await tx.one(ISOLATION) == {"level": "read committed", "read_only": "off"}
    async with postgres.reading() as tx:
        assert await tx.one(ISOLATION) == {"level": "repeatable read", "read_only": "on"}


async def test_every_connection_is_bounded_by_the_server_too(postgres: Database) -> None:
    async with postgres.transaction() as tx:
        settings = {row["name"]: row["setting"] for row in await tx.all(SETTINGS)}
    wanted = {
        "statement_timeout": "5000",
        "lock_timeout": "2000",
        "idle_in_transaction_session_timeout": "10000",
        "client_connection_check_interval": "2000",
        "tcp_keepalives_idle": "5",
        "TimeZone": "UTC",
        "application_name": "ratchet",
        "synchronous_commit": "on",
    }
    assert {name: settings[name] for name in wanted} == wanted


async def test_sqlite_writes_through_to_the_disk_and_checks_keys(sqlite_url: str) -> None:
    db = Database(DatabaseOptions(url=sqlite_url))
    async with db.transaction() as tx:
        values = [
            next(iter((await tx.one(text(f"PRAGMA {name}"))).values()))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
        with (
            closing(sqlite3.connect(db.options.file, timeout=0.0, isolation_level=None)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")
    await db.close()
    assert values == ["wal", 2, 1, 5000], "synchronous 2 is FULL; the transaction holds the write lock from its start"


async def test_sqlite_that_is_busy_is_a_conflict_and_is_tried_again(sqlite_url: str) -> None:
    outcomes: list[str] = []
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)

    def let_go_after_a_conflict(name: str, seconds: float, outcome: str) -> None:
        outcomes.append(outcome)
        if outcome == "conflict":
            other.execute("ROLLBACK")

    async def book_one(tx: Transaction) -> None:
        await tx.count(LEDGER, **a_booking())

    db = Database(DatabaseOptions(url=sqlite_url, busy_timeout_seconds=0.05), observe=let_go_after_a_conflict)
    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        await db.run(book_one, name="book")
    assert outcomes == ["conflict", "ok"]
    assert await stored(db) == 1
    await db.close()


async def test_a_full_disk_is_an_outage_that_is_marked(sqlite_url: str) -> None:
    db = Database(DatabaseOptions(url=sqlite_url))
    with pytest.raises(DatabaseUnavailable) as outcome:
        async with db.transaction() as tx:
            await tx.all(text("PRAGMA max_page_count = 1"))
            for _ in range(1000):
                await tx.count(LEDGER, **a_booking())
    assert outcome.value.disk_full
    assert not outcome.value.connection_lost
    assert await stored(db) == 0
    await db.close()


async def test_waiting_too_long_for_a_row_is_a_conflict(postgres_url: str) -> None:
    db = Database(DatabaseOptions(url=postgres_url, lock_timeout_seconds=0.05))
    await book(db, "r")
    async with db.transaction() as holder:
        await holder.count(NOTE, k_ref="r", new_note="held")
        with pytest.raises(TransientConflict) as outcome:
            async with db.transaction() as tx:
                await tx.count(NOTE, k_ref="r", new_note="wanted")
    assert outcome.value.sqlstate == "55P03"
    await db.close()


async def test_a_statement_that_takes_too_long_is_a_conflict(postgres_url: str) -> None:
    db = Database(DatabaseOptions(url=postgres_url, statement_timeout_seconds=0.05))
    with pytest.raises(TransientConflict) as outcome:
        async with db.transaction() as tx:
            await tx.all(text("SELECT pg_sleep(10)"))
    assert outcome.value.sqlstate == "57014"
    await db.close()


async def test_of_two_in_a_deadlock_one_is_run_again_and_both_are_done(postgres: Database) -> None:
    for ref in ("a", "b"):
        await book(postgres, ref)
    arrived = 0
    both = asyncio.Event()
    runs = 0

    async def cross(first: str, second: str, tx: Transaction) -> None:
        nonlocal arrived, runs
        runs += 1
        await tx.count(NOTE, k_ref=first, new_note=f"{first}{second}")
        arrived += 1
        if arrived >= 2:
            both.set()
        await both.wait()
        await tx.count(NOTE, k_ref=second, new_note=f"{first}{second}")

    async with asyncio.TaskGroup() as group:
        group.create_task(postgres.run(lambda tx: cross("a", "b", tx), name="ab"))
        group.create_task(postgres.run(lambda tx: cross("b", "a", tx), name="ba"))
    assert runs == 3
    async with postgres.reading() as report:
        assert len({row["note"] for row in await report.all(select(ledger.c.note))}) == 1


async def test_a_cancelled_wait_for_a_row_gives_its_connection_back(postgres: Database) -> None:
    await book(postgres, "r")
    async with postgres.transaction() as holder:
        await holder.count(NOTE, k_ref="r", new_note="held")
        waiter = asyncio.create_task(postgres.run(lambda tx: tx.count(NOTE, k_ref="r", new_note="w"), name="wait"))
        await eventually(lambda: postgres.in_use == 2)
        await eventually(lambda: waits_for_lock(postgres))
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert postgres.in_use == 1
    async with postgres.transaction() as tx:
        assert (await tx.one(select(ledger.c.note)))["note"] == "held"


async def waits_for_lock(db: Database) -> bool:
    async with db.reading() as tx:
        sql = "SELECT 1 AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(await tx.all(text(sql)))


async def test_a_commit_whose_wait_for_the_standby_was_cancelled_is_seen(
    postgres: Database, postgres_server: PostgresServer
) -> None:
    postgres_server.execute("ALTER SYSTEM SET synchronous_standby_names = 'absent'")
    postgres_server.execute("SELECT pg_reload_conf()")
    try:
        doubtful = asyncio.create_task(book(postgres, "r"))
        await eventually(lambda: cancel_waiting_commit(postgres_server))
        assert await doubtful
    finally:
        postgres_server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        postgres_server.execute("SELECT pg_reload_conf()")
    await eventually(lambda: commits_alone(postgres_server))
    assert not await book(postgres, "s"), "only the commit that was doubtful is marked"
    assert await stored(postgres) == 2


async def book(db: Database, ref: str) -> bool:
    """Book and return whether the commit's replication is in doubt."""
    async with db.transaction() as tx:
        await tx.count(LEDGER, **a_booking(ref=ref))
    return tx.replication_doubt


def cancel_waiting_commit(server: PostgresServer) -> bool:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        sql = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        return connection.execute(sql).fetchone() is not None


def commits_alone(server: PostgresServer) -> bool:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        row = connection.execute("SHOW synchronous_standby_names").fetchone()
        return row is not None and row[0] == ""
