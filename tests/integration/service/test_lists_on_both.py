"""The statements of the lists on PostgreSQL and on SQLite: every filter, every page, the history, the standing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import create_engine, make_url

from ratchet.persistence import lists, migrate
from ratchet.persistence.database import Database
from ratchet.persistence.lists import Listing
from ratchet.persistence.options import DatabaseOptions
from ratchet.persistence.revision import newest
from tests.integration.service import rows

LISTINGS = (lists.SIGNALS, lists.POSITIONS, lists.ORDERS, lists.PORTFOLIOS, lists.INCIDENTS)
VALUES: dict[str, Any] = {"layer": 1, "since": rows.at(0), "until": datetime(2100, 1, 1, tzinfo=UTC)}
DRIVERS = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite"}


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated database with a few rows."""
    url = f"sqlite:///{tmp_path / 'x.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("empty_postgres_url")
    migrate.up(url)
    engine = create_engine(make_url(url).set(drivername=DRIVERS[request.param]))
    with engine.begin() as connection:
        for name, made in {
            "signal_log": [rows.signal_row(n) for n in range(1, 6)],
            "positions": [rows.position_row(n, instrument=f"I{n}") for n in range(1, 6)],
            "holdings": [rows.holding_row(1), rows.holding_row(2)],
            "order_intent": [rows.intent_row(n) for n in range(1, 6)],
            "fills": [rows.fill_row(1, 10), rows.fill_row(1, 20)],
            "event_log": [
                rows.event_row(f"signal:main:{rows.fingerprint(1)}", 1, "accepted"),
                rows.event_row(f"duplicates:{rows.uuid(1)}", 1, "duplicate", at=rows.at(2)),
            ],
            "incident": [rows.incident_row(n) for n in range(1, 6)],
            "portfolio": [rows.portfolio_row(f"account-{n}") for n in range(1, 6)],
        }.items():
            for row in made:
                connection.execute(rows.TABLES[name].insert(), row)
    engine.dispose()
    opened = Database(DatabaseOptions(url=url))
    yield opened
    await opened.close()


async def every_page(database: Database, listing: Listing, limit: int) -> list[Any]:
    """Return the keys of all rows, page by page."""
    keys: list[Any] = []
    after = None
    while True:
        async with database.reading() as tx:
            found = await lists.page(tx, listing, where={}, after=after, limit=limit)
        keys += [listing.key_of(row) for row in found.rows]
        after = found.next_after
        if after is None:
            return keys


async def test_pages_hold_every_row_once_in_the_order_of_the_key(database: Database) -> None:
    for listing in LISTINGS:
        keys = await every_page(database, listing, limit=2)
        assert len(keys) == 5
        assert keys == sorted(keys, reverse=listing.newest_first)
        assert await every_page(database, listing, limit=100) == keys


async def test_every_filter_can_be_asked_for_alone_and_with_all_others(database: Database) -> None:
    for listing in LISTINGS:
        names = {*listing.filters, *listing.conditions}
        async with database.reading() as tx:
            for asked in (*({name} for name in names), names):
                where = {name: "x" if listing is not lists.POSITIONS else VALUES.get(name, "x") for name in asked}
                where |= {name: VALUES[name] for name in asked & {"since", "until"}}
                await lists.page(tx, listing, where=where, after=None, limit=5)


async def test_a_filter_that_a_list_does_not_have_is_a_mistake_of_ours(database: Database) -> None:
    async with database.reading() as tx:
        with pytest.raises(ValueError, match="no filter"):
            await lists.page(tx, lists.PORTFOLIOS, where={"kind": "x"}, after=None, limit=5)


async def test_the_history_of_a_signal_is_whole_and_in_order(database: Database) -> None:
    async with database.reading() as tx:
        found = await lists.history(tx, rows.uuid(1))
        assert found is not None
        assert await lists.history(tx, rows.uuid(99)) is None
        held = await lists.holdings_of(tx, [rows.uuid(1), rows.uuid(2), rows.uuid(3)])
    assert [event["kind"] for event in found.events] == ["accepted", "duplicate"]
    assert [order["id"] for order in found.intents] == [rows.uuid(1)]
    assert [fill["cum_filled"] for fill in found.fills] == [10, 20]
    assert set(held) == {rows.uuid(1), rows.uuid(2)}


async def test_the_standing_tells_the_revision_and_that_rows_can_be_written(database: Database) -> None:
    async with database.reading() as tx:
        found = await lists.standing(tx)
    assert (found.revision, found.writable) == (newest(), True)
    assert found.sending["entries_on"] is True
