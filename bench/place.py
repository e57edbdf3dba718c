"""Where a measurement runs: a PostgreSQL of its own, an instant broker, and processes that are started and stopped."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from bench.messages import ACCOUNTS, API_TOKEN
from ratchet.bootstrap import open_runtime
from ratchet.config import load_settings
from ratchet.execution import reconcile
from ratchet.execution.setup import ensure_accounts
from ratchet.persistence import migrate
from tests.servers.postgres import PostgresServer

API_KEY = "key-of-the-instant-broker"
_START_SECONDS = 60.0
_END_SECONDS = 30.0

RAISED = {
    "RATCHET_SIMULATOR__LOAD_ACCOUNTS": str(ACCOUNTS),
    "RATCHET_HTTP__RATE_LIMIT_PER_SECOND": "0",
    "RATCHET_EXECUTION__ENTRY_AGE_LIMIT_SECONDS": "7000000",
    "RATCHET_BROKER__ORDERS_PER_SECOND": "100000",
    "RATCHET_BROKER__ORDERS_PER_MINUTE": "100000",
    "RATCHET_BROKER__CALLS_PER_SECOND": "100000",
}
"""What differs from the defaults besides addresses and tokens; the report prints it."""

_ADDRESSES = {
    "RATCHET_OPENALGO_API_KEY": API_KEY,
    "RATCHET_WEBHOOK_TOKEN": "webhook-token-of-the-measurements",
    "RATCHET_API_TOKEN": API_TOKEN,
    "RATCHET_BROKER__KIND": "simulator",
    "RATCHET_HTTP_PORT": "0",
    "RATCHET_LOG_LEVEL": "WARNING",
    "RATCHET_DRAIN__DELAY_SECONDS": "0",
}


@dataclass
class Child:
    """A process of the measurement that listens on a port."""

    process: subprocess.Popen[str]
    port: int
    started_at: float

    @property
    def cpu_seconds(self) -> float:
        """CPU time so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def resident_bytes(self) -> int:
        """Resident memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        try:
            self.process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=_END_SECONDS)


@dataclass
class Place:
    """The servers of one run."""

    postgres: PostgresServer
    folder: Path
    _template: list[str] = field(default_factory=list)

    def environment(self, database: str, broker: Child, **more: str) -> dict[str, str]:
        """Return the settings of a pod."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")},
            **_ADDRESSES,
            **RAISED,
            "RATCHET_HOME": str(self.folder),
            "RATCHET_DATABASE_URL": database,
            "RATCHET_OPENALGO_URL": f"http://127.0.0.1:{broker.port}",
            **more,
        }

    @contextmanager
    def broker(self) -> Iterator[Child]:
        """Run an instant broker."""
        with child(["bench.broker", API_KEY], dict(os.environ)) as running:
            yield running

    @contextmanager
    def database(self, broker: Child) -> Iterator[str]:
        """Hand out a migrated database with all accounts, open for sending."""
        url = self.postgres.create_migrated_database(_migrate)
        asyncio.run(_prepare(self.environment(url, broker)))
        yield url
        self.postgres.drop_database(url)

    @contextmanager
    def pod(self, environment: dict[str, str], *options: str) -> Iterator[Child]:
        """Run a pod."""
        with child(["bench.pod", *options], environment) as running:
            yield running

    def postgres_cpu_seconds(self) -> float:
        """CPU time of the database server's live processes."""
        total = 0.0
        for process in psutil.process_iter(["name"]):
            try:
                if process.info["name"] == "postgres" and str(self.postgres.port) in _words(process):
                    times = process.cpu_times()
                    total += times.user + times.system
            except psutil.NoSuchProcess:
                continue
        return total


def _migrate(url: str) -> None:
    migrate.up(url)


def _words(process: psutil.Process) -> str:
    parent = process.parent()
    return " ".join(process.cmdline()) + (" ".join(parent.cmdline()) if parent else "")


@contextmanager
def place() -> Iterator[Place]:
    """Start PostgreSQL, and stop it at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ratchet-bench-")))
        yield Place(stack.enter_context(PostgresServer()), folder)


def analyze(database: str) -> None:
    """Let the planner know the tables, as it does after the first minutes of any database in use."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ANALYZE")


@contextmanager
def child(command: Sequence[str], environment: dict[str, str]) -> Iterator[Child]:
    """Run `python -m command`, which prints `port N` once it listens."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", *command], env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("port "):
        process.kill()
        process.wait(timeout=_END_SECONDS)
        raise RuntimeError(f"{command[0]} did not start: {line}")
    running = Child(process, int(line.split()[1]), started)
    try:
        yield running
    finally:
        running.stop()
        process.stdout.close()


async def _prepare(environment: dict[str, str]) -> None:
    kept = dict(os.environ)
    os.environ.update(environment)
    try:
        settings = load_settings()
    finally:
        os.environ.clear()
        os.environ.update(kept)
    async with open_runtime(settings, role="cli") as rt:
        await ensure_accounts(rt)
        await reconcile.run(rt)
