"""The servers that tests run on keep the promises that tests rely on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.servers import PostgresServer, ValkeyServer, eventually, eventually_true


def test_postgres_is_as_durable_as_in_production(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.url()) as connection:
        for name in ("fsync", "synchronous_commit"):
            row = connection.execute(f"SHOW {name}".encode()).fetchone()
            assert row == ("on",)


def test_each_database_is_fresh(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.create_database(), postgres_server.create_database()
    with psycopg.connect(first, autocommit=True) as connection:
        connection.execute("CREATE TABLE seen (id int)")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('seen')").fetchone() == (None,)
    postgres_server.drop_database(first)
    postgres_server.drop_database(second)


def test_the_template_is_migrated_once(postgres_server: PostgresServer) -> None:
    class Migrations:
        runs = 0

        def __call__(self, url: str) -> None:
            self.runs += 1
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE TABLE migrated (id int)")

    with PostgresServer() as own:
        migrate = Migrations()
        for _ in range(2):
            with psycopg.connect(own.create_migrated_database(migrate)) as connection:
                assert connection.execute("SELECT count(*) FROM migrated").fetchone() == (0,)
        assert migrate.runs == 1


def test_commits_survive_a_kill_and_the_port_stays() -> None:
    with PostgresServer() as server:
        url = server.create_database()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS id")
        server.kill()
        assert not server.answers()
        server.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT id FROM kept").fetchone() == (7,)


def test_a_cut_ends_open_connections(postgres_server: PostgresServer, empty_postgres_url: str) -> None:
    with psycopg.connect(empty_postgres_url) as connection:
        assert postgres_server.cut_connections() >= 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_valkey_forgets_everything_when_it_is_killed() -> None:
    with ValkeyServer() as server:
        assert server.ask("SET", "key", "value") == "+OK\r\n"
        server.kill()
        server.start()
        assert server.ask("GET", "key") == "$-1\r\n"


def test_a_frozen_valkey_does_not_answer_and_a_thawed_one_does(valkey_server: ValkeyServer) -> None:
    valkey_server.freeze()
    try:
        assert not valkey_server.answers()
    finally:
        valkey_server.thaw()
    assert valkey_server.answers()


OWNER = """
import os
from tests.servers import ValkeyServer
server = ValkeyServer().__enter__()
print(server._process.pid, server.folder, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_server_ends_with_an_owner_that_is_killed() -> None:
    root = Path(__file__).parents[3]
    owner = subprocess.run([sys.executable, "-c", OWNER], capture_output=True, text=True, timeout=30, cwd=root)
    assert owner.returncode == -signal.SIGKILL
    pid, folder = owner.stdout.split()
    eventually_true(lambda: not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == "zombie", within=10)
    eventually_true(lambda: not os.path.exists(folder), within=10)


async def test_eventually_returns_the_first_true_value() -> None:
    values = iter([0, None, "seen"])
    assert await eventually(lambda: next(values)) == "seen"


async def test_eventually_gives_up_with_the_last_value() -> None:
    with pytest.raises(AssertionError, match="last: 0"):
        await eventually(lambda: 0, within=0.05)
