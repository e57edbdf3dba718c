"""A task that is cut off inside a transaction is cancelled as such, and leaves the database usable and unchanged."""

import asyncio

import pytest
from sqlalchemy import text

from ratchet.persistence import control
from ratchet.persistence.database import Database
from ratchet.persistence.transaction import Transaction

SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(1)",
}


async def test_a_statement_that_is_cut_off_ends_in_a_cancellation_and_rolls_back(database: Database) -> None:
    begun = asyncio.Event()

    async def work(tx: Transaction) -> None:
        await control.switch(tx, entries_on=False, exits_on=False, reason="cut off", actor="test")
        begun.set()
        await tx.all(text(SLOW[tx.dialect]))

    task = asyncio.create_task(database.run(work, name="cut"))
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.transaction() as tx:
        assert (await control.read(tx)).reason != "cut off"
