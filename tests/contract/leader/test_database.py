"""The promises on a row of PostgreSQL, and of SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from leader.database_lease import DatabaseFence, DatabaseLease
from leader.election import Times
from ratchet.clock import SystemClock
from ratchet.persistence.database import Database
from ratchet.persistence.options import DatabaseOptions
from tests.contract.leader.places import Place
from tests.contract.leader.promises import ElectorPromises, LeasePromises

TIMES = Times(lease_duration=2, renew_deadline=1.2, retry_period=0.2, request_timeout=0.5)


@pytest_asyncio.fixture
async def place(database_url: str) -> AsyncIterator[Place]:
    """A fresh database."""
    db = Database(DatabaseOptions(url=database_url))
    await db.open()

    async def another() -> DatabaseLease:
        return DatabaseLease(db, SystemClock())

    yield Place(another=another, fence=DatabaseFence(db), times=TIMES)
    await db.close()


class TestTheRecord(LeasePromises):
    """As anywhere."""


class TestElectors(ElectorPromises):
    """As anywhere."""
