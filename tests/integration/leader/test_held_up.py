"""A new leader whose epoch is held up by a transaction of the former one, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import psycopg
import pytest
import pytest_asyncio

from leader.database_lease import PATIENCE_SECONDS, SESSION_OF, DatabaseFence, session_name
from leader.place import identity_of, session_of
from ratchet.bootstrap import open_runtime
from ratchet.persistence.database import Database
from ratchet.persistence.options import DatabaseOptions
from tests.integration.leader.test_own_thread import leading
from tests.servers.postgres import PostgresServer
from tests.servers.waiting import eventually
from tests.world import settings_for

FORMER = "old-leader-7d9f8c6b5-x2x4z_0a1b2c3d-0000-4000-8000-1234567890ab_deadbeef"
"""As long as a pod's identity is."""


@asynccontextmanager
async def frozen(url: str, identity: str = FORMER, *, named: str | None = None) -> AsyncIterator[asyncpg.Connection]:
    """A leader that stopped in the middle of a transaction of a duty: idle, with the fence held FOR SHARE."""
    name = named or session_name(identity)
    connection = await asyncpg.connect(url, server_settings={"application_name": name}, timeout=5)
    try:
        await connection.execute("BEGIN")
        await connection.execute("SELECT epoch FROM leader_fence WHERE role = 'leader' FOR SHARE")
        yield connection
    finally:
        connection.terminate()


@pytest_asyncio.fixture
async def fence(postgres_url: str) -> AsyncIterator[DatabaseFence]:
    """The new leader's way to the epoch."""
    db = Database(DatabaseOptions(url=postgres_url, application_name=session_name("new_uid_1"), lock_timeout_seconds=6))
    await db.open()
    yield DatabaseFence(db)
    await db.close()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the events of warnings."""
    return [one.__dict__["event"] for one in caplog.records if one.levelno == logging.WARNING]


async def test_the_former_leader_s_session_is_ended_and_what_it_had_in_hand_is_rolled_back(
    fence: DatabaseFence, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with frozen(postgres_url) as old:
        await old.execute(
            "INSERT INTO event_log (stream, seq, at, kind, actor) VALUES ('test', 1, now(), 'late', 'old')"
        )
        async with asyncio.timeout(PATIENCE_SECONDS + 3):
            assert await fence.take(holder="new_uid_1", lease_uid="u", transitions=1) == 1
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
            await old.execute("COMMIT")
    assert told(caplog) == ["session_ended"]
    with psycopg.connect(postgres_url) as look:
        assert look.execute("SELECT count(*) FROM event_log WHERE stream = 'test'").fetchone() == (0,)


async def test_one_after_the_other_all_that_hold_it_up_are_ended(
    fence: DatabaseFence, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with frozen(postgres_url), frozen(postgres_url, "older_uid_2"):
        async with asyncio.timeout(2 * PATIENCE_SECONDS + 3):
            assert await fence.take(holder="new_uid_1", lease_uid="u", transitions=1) == 1
    assert set(told(caplog)) == {"session_ended"}


async def test_a_transaction_that_ends_in_time_is_left_alone(
    fence: DatabaseFence, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with frozen(postgres_url) as old:
        taking = asyncio.create_task(fence.take(holder="new_uid_1", lease_uid="u", transitions=1))
        await asyncio.wait([taking], timeout=PATIENCE_SECONDS / 4)
        assert not taking.done()
        await old.execute("COMMIT")
        async with asyncio.timeout(3):
            assert await taking == 1
        assert not old.is_closed()
    assert told(caplog) == []


@pytest.mark.parametrize("whose", ["of another role", "no leader's"])
async def test_a_session_that_may_not_be_ended_is_waited_for_and_named(
    fence: DatabaseFence,
    postgres_server: PostgresServer,
    postgres_url: str,
    whose: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url, name, event = postgres_url, "ratchet-embedded", "epoch_held_up"
    if whose == "of another role":
        role = "former_" + postgres_url.rpartition("/")[2]
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(f"CREATE ROLE {role} LOGIN".encode())
            admin.execute(f"GRANT SELECT, UPDATE ON leader_fence TO {role}".encode())
        host = postgres_url.rpartition("@")[2]
        url, name, event = f"postgresql://{role}@{host}", session_name(FORMER), "session_not_ended"
    async with frozen(url, named=name) as old:
        taking = asyncio.create_task(fence.take(holder="new_uid_1", lease_uid="u", transitions=1))
        await eventually(lambda: event in told(caplog), within=PATIENCE_SECONDS + 3)
        assert not taking.done()
        await old.execute("COMMIT")
        async with asyncio.timeout(3):
            assert await taking == 1
    named = next(one for one in caplog.records if one.__dict__.get("event") == event)
    assert named.__dict__["session"] == name


async def test_a_whole_leader_gets_past_it(tmp_path: Path, postgres_url: str) -> None:
    async with frozen(postgres_url), leading(tmp_path, postgres_url) as new:
        assert new.leader.standing.epoch == 1


async def test_a_leader_s_sessions_bear_its_name_and_end_by_themselves(tmp_path: Path, postgres_url: str) -> None:
    """Also those of its election: whoever follows finds them all, whatever becomes of the process."""
    settings = settings_for(tmp_path, postgres_url, "http://127.0.0.1:9")
    async with AsyncExitStack() as stack:
        rt = await stack.enter_async_context(
            open_runtime(settings, role="leader", session=partial(session_of, settings))
        )
        async with rt.db.transaction(name="test") as tx:
            pid = tx.connection_id
            with psycopg.connect(postgres_url) as look:
                row = look.execute("SELECT application_name FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
        connection = next(iter(rt.db._backend._pool._idle)).connection  # type: ignore[union-attr]
        limits = {
            name: await connection.fetchval(f"SHOW {name}")
            for name in ("idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout")
        }
        assert row is not None and row[0] == SESSION_OF + identity_of(settings, rt.boot_id)
        assert limits == {
            "idle_in_transaction_session_timeout": "5s",
            "statement_timeout": "5s",
            "lock_timeout": "2s",
        }
    async with leading(tmp_path, postgres_url) as one:
        with psycopg.connect(postgres_url) as look:
            rows = look.execute(
                "SELECT DISTINCT application_name FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        assert rows == [(session_name(one.leader.identity),)]


def test_names_of_sessions_differ_where_only_the_last_part_of_an_identity_does() -> None:
    assert len(session_name(FORMER)) == 63
    assert session_name(FORMER) != session_name(FORMER[:-8] + "cafecafe")
