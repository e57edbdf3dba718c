"""A runtime on a fresh database of each kind, with a broker in memory."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from ratchet.clock import SystemClock
from ratchet.config import load_settings
from ratchet.config.portfolio import load_portfolio
from ratchet.coordination import NoHints
from ratchet.execution.setup import ensure_accounts
from ratchet.persistence.database import Database, DatabaseOptions
from ratchet.runtime import Runtime
from tests.fakes.broker import MemoryBroker


class PatientClock(SystemClock):
    """Waits are over at once; the hour is the machine's unless the test sets it."""

    def __init__(self) -> None:
        self.hour: datetime | None = None
        self.slept: list[float] = []

    def now(self) -> datetime:
        return super().now() if self.hour is None else self.hour

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def clock() -> PatientClock:
    return PatientClock()


@pytest.fixture
async def rt(database_url: str, broker: MemoryBroker, clock: PatientClock, tmp_path: Path) -> AsyncIterator[Runtime]:
    settings = load_settings(
        require_tokens=False,
        home=tmp_path,
        preset="test",
        database_url=database_url,
        openalgo_url="http://127.0.0.1:9",
        openalgo_api_key="key-of-the-tests",
        broker={"kind": "simulator"},
    )
    db = Database(DatabaseOptions(url=database_url))
    await db.open()
    runtime = Runtime(
        settings=settings,
        portfolio=load_portfolio(settings).portfolio,
        clock=clock,
        db=db,
        hints=NoHints(),
        brokers={"main": broker},
        boot_id="test",
    )
    await ensure_accounts(runtime)
    yield runtime
    await db.close()
