"""Revisions of the schema: up, down, from the previous one's data, and what they add up to."""

import asyncio
from pathlib import Path

import pytest
from alembic.util import CommandError
from sqlalchemy import text

from ratchet.persistence import migrate
from ratchet.persistence.errors import DatabaseUnavailable
from ratchet.persistence.tables import metadata
from tests.integration.persistence.schema import create_all, describe, engine_of
from tests.servers import PostgresServer, eventually

BOOKING = (
    "INSERT INTO ledger (id, account, kind, amount, ref, at)"
    " VALUES ('00000000-0000-0000-0000-000000000001', 'main', 'DEPOSIT', 50000, 'r', '2027-01-11T05:00:00.000000Z')"
)


@pytest.fixture(params=["postgresql", "sqlite"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


@pytest.fixture
def other_url(empty_url: str, postgres_server: PostgresServer, tmp_path: Path) -> str:
    """The address of another one of the same kind."""
    if empty_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'other.db'}"
    return postgres_server.create_database()


def test_the_revisions_add_up_to_the_tables_of_the_code(empty_url: str, other_url: str) -> None:
    migrate.up(empty_url)
    create_all(other_url, metadata)
    assert describe(empty_url) == describe(other_url)


def test_each_revision_can_be_undone(empty_url: str) -> None:
    before = describe(empty_url)
    states = []
    for revision in ("0001", "head"):
        states.append(describe(empty_url))
        migrate.up(empty_url, revision)
    assert migrate.down(empty_url, "0001").current == "0001"
    assert describe(empty_url) == states[1]
    assert migrate.down(empty_url, "base").current is None
    assert describe(empty_url) == before
    assert migrate.up(empty_url).ok


def test_what_the_previous_revision_stored_is_kept(empty_url: str) -> None:
    migrate.up(empty_url, "0001")
    with engine_of(empty_url).begin() as connection:
        connection.execute(text(BOOKING))
    migrate.up(empty_url)
    with engine_of(empty_url).connect() as connection:
        assert connection.execute(text("SELECT ref FROM ledger")).scalar_one() == "r"
        assert connection.execute(text("SELECT count(*) FROM statistics")).scalar_one() == 0
    migrate.down(empty_url, "0001")
    with engine_of(empty_url).connect() as connection:
        assert connection.execute(text("SELECT ref FROM ledger")).scalar_one() == "r"


def test_a_fresh_schema_has_its_switches_and_its_fence_and_no_audit(empty_url: str) -> None:
    migrate.up(empty_url)
    with engine_of(empty_url).connect() as connection:
        control = connection.execute(text("SELECT id, entries_on, exits_on, audited_timeline FROM control")).one()
        fence = connection.execute(text("SELECT role, epoch FROM leader_fence")).one()
    assert tuple(control) == (1, 1, 1, None)
    assert tuple(fence) == ("leader", 0)


def test_check_tells_where_a_database_is_and_changes_nothing(empty_url: str) -> None:
    assert migrate.check(empty_url).current is None
    assert not migrate.check(empty_url).ok
    assert describe(empty_url) == set()
    migrate.up(empty_url, "0001")
    status = migrate.check(empty_url)
    assert (status.current, status.head, status.ok) == ("0001", migrate.head(), False)


def test_a_database_of_a_later_release_is_left_as_it_is_and_will_do(empty_url: str) -> None:
    migrate.up(empty_url)
    engine = engine_of(empty_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    before = describe(empty_url)
    status = migrate.up(empty_url)
    assert (status.current, status.ok) == ("9999", True)
    assert describe(empty_url) == before


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    with engine_of(empty_url).begin() as connection:
        connection.execute(text("CREATE TABLE statistics (other INTEGER)"))
    before = describe(empty_url)
    with pytest.raises(Exception, match="statistics"):
        migrate.up(empty_url)
    assert describe(empty_url) == before
    assert migrate.check(empty_url).current is None


async def test_processes_that_migrate_together_take_turns(empty_url: str) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.to_thread(migrate.up, empty_url)) for _ in range(3)]
    assert all(task.result().ok for task in tasks)


async def test_a_database_that_starts_later_is_waited_for(
    empty_postgres_url: str, postgres_server: PostgresServer
) -> None:
    postgres_server.stop()
    try:
        with pytest.raises(DatabaseUnavailable):
            migrate.check(empty_postgres_url)
        waiting = asyncio.create_task(asyncio.to_thread(migrate.up, empty_postgres_url, wait_seconds=30))
    finally:
        await asyncio.to_thread(postgres_server.start)
    await eventually(waiting.done, within=20)
    assert (await waiting).ok


def test_a_revision_that_nobody_knows_is_refused(empty_url: str) -> None:
    with pytest.raises((CommandError, LookupError, ValueError)):
        migrate.up(empty_url, "9999")
