"""Lists come from the read replica, if there is one that answers; what a sender asks for by its id does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, make_url

from ratchet.persistence import migrate
from ratchet.persistence.hot import replica
from tests.integration.service import rows
from tests.integration.service.running import Pod, running, settings_for
from tests.servers.postgres import PostgresServer, StandbyServer
from tests.servers.waiting import eventually


@pytest.fixture(scope="module")
def primary() -> Iterator[PostgresServer]:
    """A server of our own: the whole of it is copied."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def standby(primary: PostgresServer) -> Iterator[StandbyServer]:
    """Its streaming standby."""
    with StandbyServer(primary) as server:
        yield server


def insert(url: str, number: int) -> None:
    """Put a signal into the primary."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(rows.TABLES["signal_log"].insert(), rows.signal_row(number))
    engine.dispose()


def tell(server: PostgresServer, statement: str) -> None:
    """Run one on the server."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(statement.encode())


async def replayed(standby: StandbyServer, database: str, count: int) -> bool:
    """Whether the standby has that many signals."""
    with psycopg.connect(standby.url(database)) as connection:
        row = connection.execute("SELECT count(*) FROM signal_log").fetchone()
    return row == (count,)


async def listed(pod: Pod, *numbers: int) -> bool:
    """Whether exactly these signals are in the list."""
    answer = await pod.read("/signals")
    assert answer.status == 200
    found: list[Any] = answer.json["items"]
    return sorted(item["id"] for item in found) == [str(rows.uuid(number)) for number in numbers]


async def test_lists_lag_with_the_replica_and_come_from_the_primary_while_it_is_away(
    primary: PostgresServer, standby: StandbyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "AWAY_SECONDS", 0.2)
    url = primary.create_database()
    database = url.rsplit("/", 1)[1]
    migrate.up(url)
    settings = settings_for(
        tmp_path,
        database_url=url,
        database_replica_url=standby.url(database),
        openalgo_url="http://127.0.0.1:9",
        openalgo_api_key="key-of-nobody-at-all",
    )
    async with running(settings) as pod:
        insert(url, 1)
        await eventually(lambda: listed(pod, 1), within=10)
        tell(standby, "SELECT pg_wal_replay_pause()")
        insert(url, 2)
        assert await listed(pod, 1)
        assert (await pod.read(f"/signals/{rows.uuid(2)}")).status == 200
        standby.freeze()
        await eventually(lambda: listed(pod, 1, 2), within=10)
        standby.thaw()
        standby.stop()
        await eventually(lambda: listed(pod, 1, 2), within=10)
        standby.start()
        insert(url, 3)
        await eventually(lambda: listed(pod, 1, 2, 3), within=10)
        await eventually(lambda: replayed(standby, database, 3), within=10)
        tell(standby, "SELECT pg_wal_replay_pause()")
        insert(url, 4)
        await eventually(lambda: listed(pod, 1, 2, 3), within=10)
