"""`python -m leader` as an operator sees it: probes, turns in leading, an end in order."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ratchet.persistence import migrate
from tests.servers.process import free_port
from tests.servers.waiting import eventually_true

PATIENCE = 30.0


class LeaderProcess:
    """One process, its settings those of the test preset."""

    def __init__(self, home: Path, database_url: str, name: str) -> None:
        self.port = free_port()
        self.log = home / f"{name}.log"
        environment = {
            **os.environ,
            "RATCHET_HOME": str(home),
            "RATCHET_PRESET": "test",
            "RATCHET_DATABASE_URL": database_url,
            "RATCHET_OPENALGO_URL": f"http://127.0.0.1:{free_port()}",
            "RATCHET_OPENALGO_API_KEY": "key-of-nobody-at-all",
            "RATCHET_BROKER__KIND": "simulator",
            "RATCHET_LEADER__HTTP_PORT": str(self.port),
            # long enough for a busy machine; a killed leader is followed sooner, by the proof of its death
            "RATCHET_LEADER__LEASE_DURATION_SECONDS": "9",
            "RATCHET_LEADER__RENEW_DEADLINE_SECONDS": "6",
            "RATCHET_LEADER__RETRY_PERIOD_SECONDS": "1",
            "RATCHET_LEADER__REQUEST_TIMEOUT_SECONDS": "1",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "leader"], env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def get(self, path: str) -> tuple[int, Any]:
        """Return the status and the content of a path; 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            return 0, None

    def answers(self, path: str, status: int) -> bool:
        """Whether a path answers with this status; the process must be running."""
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        return self.get(path)[0] == status

    @property
    def leads(self) -> bool:
        """Whether it says that it leads."""
        status, health = self.get("/health")
        return status == 200 and bool(health["leader"]["leads"])

    def epoch(self) -> int:
        """Return the epoch it leads under."""
        return int(self.get("/health")[1]["leader"]["epoch"])

    def end(self, how: signal.Signals) -> int:
        """End it and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=PATIENCE)


Start = Callable[[str], LeaderProcess]


@pytest.fixture
def database(tmp_path: Path) -> str:
    """An empty database file that the processes share."""
    return f"sqlite:///{tmp_path / 'shared.db'}"


@pytest.fixture
def start(tmp_path: Path, database: str) -> Iterator[Start]:
    """Start leaders, and end them."""
    started: list[LeaderProcess] = []

    def one(name: str) -> LeaderProcess:
        started.append(LeaderProcess(tmp_path, database, name))
        return started[-1]

    yield one
    for leader in started:
        if leader.process.poll() is None:
            leader.process.kill()
            leader.process.wait(timeout=10)


def test_it_is_alive_but_not_ready_until_the_database_is_prepared(start: Start, database: str) -> None:
    leader = start("a")
    eventually_true(lambda: leader.answers("/livez", 200), within=PATIENCE)
    assert leader.get("/readyz")[0] == 503
    eventually_true(lambda: "schema_awaited" in leader.log.read_text(), within=PATIENCE)
    migrate.up(database)
    eventually_true(lambda: leader.answers("/readyz", 200), within=PATIENCE)
    eventually_true(lambda: leader.leads, within=PATIENCE)
    assert leader.end(signal.SIGTERM) == 0
    assert "epoch_missed" not in leader.log.read_text()


def test_a_schema_of_the_release_after_it_will_do(start: Start, database: str) -> None:
    migrate.up(database)
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    leader = start("a")
    eventually_true(lambda: leader.answers("/readyz", 200), within=PATIENCE)
    eventually_true(lambda: leader.leads, within=PATIENCE)


def test_one_leads_the_other_follows_a_stop_and_a_kill_under_new_epochs(start: Start, database: str) -> None:
    migrate.up(database)
    first = start("a")
    eventually_true(lambda: first.leads, within=PATIENCE)
    second = start("b")
    eventually_true(lambda: second.answers("/readyz", 200), within=PATIENCE)
    assert not second.leads
    before = first.epoch()
    assert first.end(signal.SIGTERM) == 0
    eventually_true(lambda: second.leads, within=PATIENCE)
    assert second.epoch() == before + 1
    third = start("c")
    eventually_true(lambda: third.answers("/readyz", 200), within=PATIENCE)
    second.end(signal.SIGKILL)
    eventually_true(lambda: third.leads, within=PATIENCE)
    assert third.epoch() == before + 2


def test_a_broker_that_is_away_fails_a_duty_and_not_the_leader(start: Start, database: str) -> None:
    migrate.up(database)
    leader = start("a")

    def duties_ran() -> bool:
        status, health = leader.get("/health")
        return status == 200 and {"recover", "reconcile", "end_of_day", "rollover", "figures", "housekeeping"} <= set(
            health["leader"]["duties"]
        )

    eventually_true(duties_ran, within=PATIENCE)
    assert leader.leads
    assert leader.get("/livez")[0] == 200


def test_wrong_settings_end_it_with_2_and_are_named() -> None:
    environment = {**os.environ, "RATCHET_DATABASE_URL": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-m", "leader"], env=environment, capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 2
    assert b"RATCHET_DATABASE_URL" in done.stderr
    assert b"nonsense" not in done.stderr


def test_help_says_what_it_is_for() -> None:
    done = subprocess.run([sys.executable, "-m", "leader", "--help"], capture_output=True, timeout=PATIENCE, check=True)
    assert b"SIGTERM" in done.stdout
