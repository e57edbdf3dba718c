"""A connection that is killed, cut, frozen, demoted or refused, and how the next one is had."""

import asyncio

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from ratchet.persistence.database import Database, DatabaseOptions
from ratchet.persistence.errors import CommitInDoubt, DatabaseUnavailable, PoolExhausted
from ratchet.persistence.tables import ledger
from ratchet.persistence.transaction import Transaction
from tests.contract.persistence.rows import LEDGER, a_booking
from tests.fakes.clock import ManualClock
from tests.integration.persistence.proxy import COMMIT, Proxy, proxy_to
from tests.servers import PostgresServer, eventually

COUNT = select(func.count().label("n")).select_from(ledger)
ONCE = insert(ledger).on_conflict_do_nothing(index_elements=["account", "ref"])


async def stored(db: Database) -> int:
    async with db.reading() as tx:
        return int((await tx.one(COUNT))["n"])


async def connection_of(db: Database) -> int:
    async with db.transaction() as tx:
        await tx.now()
        return tx.connection_id


async def test_a_killed_connection_is_an_outage_and_the_next_one_works(
    postgres: Database, postgres_server: PostgresServer
) -> None:
    with pytest.raises(DatabaseUnavailable) as outcome:
        async with postgres.transaction() as tx:
            await tx.count(LEDGER, **a_booking())
            postgres_server.execute(f"SELECT pg_terminate_backend({tx.connection_id})")
            await eventually(lambda: gone(postgres_server, tx.connection_id))
            await tx.now()
    assert outcome.value.connection_lost
    assert await stored(postgres) == 0
    assert postgres.in_use == 0


def gone(server: PostgresServer, pid: int) -> bool:
    with psycopg.connect(server.url()) as connection:
        return connection.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is None


async def test_an_idle_connection_that_was_killed_is_not_handed_out(
    postgres: Database, postgres_server: PostgresServer
) -> None:
    first = await connection_of(postgres)
    postgres_server.execute(f"SELECT pg_terminate_backend({first})")
    await eventually(lambda: gone(postgres_server, first))

    async def work(tx: Transaction) -> int:
        await tx.now()
        return tx.connection_id

    assert await postgres.run(work, name="work") != first


async def test_it_comes_back_by_itself_after_a_restart(postgres: Database, postgres_server: PostgresServer) -> None:
    await connection_of(postgres)
    postgres_server.stop()
    try:
        with pytest.raises(DatabaseUnavailable):
            await connection_of(postgres)
        with pytest.raises(DatabaseUnavailable):
            await stored(postgres)
    finally:
        postgres_server.start()

    async def works() -> bool:
        try:
            return await connection_of(postgres) > 0 and await stored(postgres) == 0
        except DatabaseUnavailable:
            return False

    await eventually(works, within=10)


@pytest.mark.parametrize("delivered", [False, True], ids=["lost on the way", "answer lost"])
async def test_a_connection_cut_at_commit_leaves_it_in_doubt(
    postgres_url: str, postgres_server: PostgresServer, postgres: Database, delivered: bool
) -> None:
    async with proxy_to(postgres_server.port) as proxy:
        db = Database(DatabaseOptions(url=proxy.url(postgres_url)))
        proxy.cut_at, proxy.deliver = COMMIT, delivered
        with pytest.raises(CommitInDoubt):
            async with db.transaction() as tx:
                await tx.count(LEDGER, **a_booking())
        assert proxy.cuts == 1
        await db.close()
    assert await stored(postgres) == int(delivered)


@pytest.mark.parametrize("delivered", [False, True], ids=["lost on the way", "answer lost"])
async def test_idempotent_work_cut_at_commit_is_done_once(
    postgres_url: str, postgres_server: PostgresServer, postgres: Database, delivered: bool
) -> None:
    async with proxy_to(postgres_server.port) as proxy:
        db = Database(DatabaseOptions(url=proxy.url(postgres_url)))
        proxy.cut_at, proxy.deliver = COMMIT, delivered
        booking = a_booking()

        async def book(tx: Transaction) -> int:
            if proxy.cuts:
                proxy.cut_at = None
            return await tx.count(ONCE, **booking)

        assert await db.run(book, name="book") == int(not delivered)
        await db.close()
    assert await stored(postgres) == 1


async def frozen_database(proxy: Proxy, url: str) -> Database:
    """Return a database whose connection is open and whose packets are swallowed from now on."""
    options = DatabaseOptions(
        url=proxy.url(url), statement_timeout_seconds=0.1, commit_timeout_seconds=0.2, connect_timeout_seconds=1.0
    )
    db = Database(options)
    await connection_of(db)
    return db


async def test_a_commit_without_an_answer_is_in_doubt_after_its_time(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    async with proxy_to(postgres_server.port) as proxy:
        db = await frozen_database(proxy, postgres_url)
        with pytest.raises(CommitInDoubt):
            async with db.transaction() as tx:
                await tx.count(LEDGER, **a_booking())
                proxy.frozen = True
        assert db.in_use == 0
        await db.close()


async def test_a_statement_without_an_answer_is_an_outage_after_its_time(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    async with proxy_to(postgres_server.port) as proxy:
        db = await frozen_database(proxy, postgres_url)
        with pytest.raises(DatabaseUnavailable):
            async with db.transaction() as tx:
                proxy.frozen = True
                await tx.count(LEDGER, **a_booking())
        proxy.frozen = False
        assert await connection_of(db) > 0
        await db.close()


async def test_a_server_that_refuses_writes_has_its_connections_dropped(postgres: Database) -> None:
    async with postgres.transaction() as one, postgres.transaction() as two:
        before = {one.connection_id, two.connection_id}
    with pytest.raises(DatabaseUnavailable) as outcome:
        async with postgres.transaction() as tx:
            await tx.all(text("SET TRANSACTION READ ONLY"))
            await tx.count(LEDGER, **a_booking())
    assert outcome.value.sqlstate == "25006"
    async with postgres.transaction() as one, postgres.transaction() as two:
        assert not before & {one.connection_id, two.connection_id}


async def test_an_old_connection_is_replaced(postgres_url: str) -> None:
    clock = ManualClock()
    db = Database(DatabaseOptions(url=postgres_url, pool_recycle_seconds=300.0), clock=clock)
    first = await connection_of(db)
    await clock.advance(299)
    assert await connection_of(db) == first
    await clock.advance(1)
    assert await connection_of(db) != first
    await db.close()


async def test_an_unreachable_database_is_an_outage(postgres_server: PostgresServer) -> None:
    async with proxy_to(postgres_server.port) as proxy:
        nobody = proxy.url(postgres_server.url())
    db = Database(DatabaseOptions(url=nobody))
    with pytest.raises(DatabaseUnavailable):
        await db.open()
    with pytest.raises(DatabaseUnavailable):
        await stored(db)
    await db.close()


async def test_a_wrong_database_name_is_an_outage_that_names_it(postgres_server: PostgresServer) -> None:
    db = Database(DatabaseOptions(url=postgres_server.url("missing")))
    with pytest.raises(DatabaseUnavailable, match="missing"):
        await db.open()
    await db.close()


async def test_a_pool_whose_connections_are_all_in_use_says_so_in_time(postgres_url: str) -> None:
    db = Database(DatabaseOptions(url=postgres_url, pool_size=1, pool_timeout_seconds=0.05))
    async with db.transaction():
        assert db.in_use == 1
        with pytest.raises(PoolExhausted):
            await connection_of(db)
    assert await connection_of(db) > 0
    assert (db.in_use, db.waiting) == (0, 0)
    await db.close()


async def test_a_waiting_task_gets_the_connection_that_comes_back(postgres_url: str) -> None:
    db = Database(DatabaseOptions(url=postgres_url, pool_size=1))
    async with asyncio.TaskGroup() as group, db.transaction() as tx:
        mine = tx.connection_id
        tasks = [group.create_task(connection_of(db)) for _ in range(3)]
        await eventually(lambda: db.waiting == 3)
    assert [task.result() for task in tasks] == [mine] * 3
    await db.close()


async def test_a_listener_comes_back_after_its_connection_was_killed(
    postgres: Database, postgres_server: PostgresServer
) -> None:
    heard: list[str] = []
    postgres.listen("work", heard.append)
    await eventually(lambda: heard == [""])
    assert postgres_server.cut_connections() >= 1
    await eventually(lambda: heard == ["", ""], within=10)

    async def tell(tx: Transaction) -> None:
        await postgres.notify(tx, "work", "again")

    await postgres.run(tell, name="tell")
    await eventually(lambda: heard[-1] == "again")
