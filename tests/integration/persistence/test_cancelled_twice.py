"""A statement on SQLite that is cancelled, and cancelled again while its connection is closed."""

from __future__ import annotations

import asyncio

from sqlalchemy import text

from ratchet.persistence.database import Database
from ratchet.persistence.options import DatabaseOptions
from tests.servers.waiting import eventually

SLOW = text(
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT count(*) AS many FROM n"
)


async def test_it_leaves_nothing_behind_that_waits_for_ever(sqlite_url: str) -> None:
    db = Database(DatabaseOptions(url=sqlite_url))
    await db.open()
    others = asyncio.all_tasks()

    async def read() -> None:
        async with db.transaction(name="test") as tx:
            await tx.all(SLOW)

    reading = asyncio.create_task(read())
    await eventually(lambda: db.in_use == 1)
    await asyncio.wait([reading], timeout=0.1)
    reading.cancel()
    await asyncio.wait([reading], timeout=0.1)
    reading.cancel()
    await asyncio.wait([reading], timeout=10)
    assert reading.cancelled()
    await eventually(lambda: asyncio.all_tasks() == others, within=10)
    await db.close()
