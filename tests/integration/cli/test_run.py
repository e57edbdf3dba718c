"""`ratchet run` as a person uses it: real processes, real sockets, a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.process import free_port
from tests.servers.waiting import eventually_true

START_SECONDS = 30.0
COMMAND_SECONDS = 60.0


class Running:
    """A `ratchet run`, and the commands beside it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "RATCHET_HOME": str(home),
            "RATCHET_HTTP_PORT": str(self.port),
            "RATCHET_SIMULATOR__LOAD_ACCOUNTS": "3",
        }
        self.log = home.with_suffix(".log")
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, its output going to the log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "ratchet", "run"], env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )

    def wait_until_ready(self) -> None:
        """Return when it is ready and leads."""

        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        eventually_true(ready, within=START_SECONDS)

    def command(self, *arguments: str) -> tuple[int, Any]:
        """Run a command with --json and return its exit code and its data."""
        done = subprocess.run(
            [sys.executable, "-m", "ratchet", *arguments, "--json"],
            env=self.environment,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.stdout or done.returncode, done.stderr.decode()
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr.decode()

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=30)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A fresh installation that runs."""
    started = Running(tmp_path / "home")
    try:
        started.wait_until_ready()
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
            started.process.wait(timeout=10)


def test_a_first_try_sends_samples_sees_positions_and_verifies(running: Running) -> None:
    code, outcomes = running.command("send", "--samples")
    assert code == 0, outcomes
    assert len(outcomes) == 20
    entries = [row for row in outcomes if row["kind"] == "BASE_ENTRY"]
    assert [row["outcome"] for row in entries] == ["executed"] * 4

    code, positions = running.command("positions")
    assert code == 0
    assert sorted(row["instrument"] for row in positions) == ["BANK_NIFTY", "GOLD_MINI", "SILVER_MINI"]

    code, findings = running.command("verify")
    assert code == 0, [finding for finding in findings if finding["count"]]
    assert [finding["invariant"] for finding in findings] == [f"I{n}" for n in range(1, 19)]
    assert not any(finding["skipped"] for finding in findings)

    code, status = running.command("status")
    assert code == 0
    assert status["health"]["leader"] is True

    log = running.log.read_text()
    for secret in ("webhook_token", "api_token", "openalgo_api_key"):
        assert (running.home / secret).read_text().strip() not in log


def test_a_load_ends_well_and_every_repeat_is_recognised(running: Running) -> None:
    code, summary = running.command(
        "send", "--load", "40", "--duplicates", "0.3", "--accounts", "2", "--seed", "5", "--wait"
    )
    assert code == 0, summary
    assert (summary["messages"], summary["distinct"]) == (40, 28)
    assert summary["answers"] == {"new": 28, "exact": 12}
    assert summary["outcomes"] == {"executed": 28}
    assert running.command("verify")[0] == 0


def test_a_second_run_on_one_folder_is_refused(running: Running) -> None:
    code, message = running.command("run", "--port", "0")
    assert code == 1
    assert "another `ratchet run`" in message


def test_a_killed_run_goes_on_at_the_next_start(running: Running) -> None:
    assert running.command("send", "--samples")[0] == 0
    running.end(signal.SIGKILL)
    running.process = running.start()
    running.wait_until_ready()
    assert len(running.command("positions")[1]) == 3
    assert running.command("verify")[0] == 0
    assert running.end() == 0


def test_the_books_can_be_verified_while_nothing_runs(running: Running) -> None:
    assert running.command("send", "--samples")[0] == 0
    assert running.end() == 0
    code, findings = running.command("verify")
    assert code == 0, findings
