"""Partitions of signal_log: ahead of time, strays taken in, dropped only when nothing needs them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select, text

from ratchet.domain.signals import SignalStatus
from ratchet.persistence.database import Database, DatabaseOptions
from ratchet.persistence.partitions import drop_expired, ensure_partitions, months, name_of
from ratchet.persistence.tables import signal_log
from ratchet.persistence.transaction import Transaction
from tests.contract.persistence.rows import add_signal

HOMES = text("SELECT tableoid::regclass::text AS home, status FROM signal_log ORDER BY signal_ts")
OLD = datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC)


async def homes(tx: Transaction) -> list[tuple[str, str]]:
    return [(row["home"], row["status"]) for row in await tx.all(HOMES)]


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2027, 1, 31), ["2026-12-01", "2027-01-01", "2027-02-01"]),
        (date(2026, 12, 1), ["2026-11-01", "2026-12-01", "2027-01-01"]),
    ],
)
def test_months_follow_each_other_over_a_new_year(today: date, expected: list[str]) -> None:
    assert [str(month) for month in months(today, back=1, ahead=1)] == expected


async def test_a_fresh_schema_has_last_month_to_three_months_ahead(postgres: Database) -> None:
    async with postgres.transaction() as tx:
        today = (await tx.now()).date()
        around = [await add_signal(tx, SignalStatus.FAILED, signal_ts=_noon(m)) for m in months(today, back=1, ahead=3)]
        found = await homes(tx)
    assert len(around) == len(found) == 5
    assert [home for home, _ in found] == [name_of(month) for month in months(today, back=1, ahead=3)]


async def test_partitions_are_made_ahead_once_and_take_in_what_the_default_one_caught(postgres: Database) -> None:
    async with postgres.transaction() as tx:
        until = await tx.now() + timedelta(days=31 * 6)
        stray = until.replace(day=28)
        await add_signal(tx, SignalStatus.ACCEPTED, signal_ts=stray)
        assert await homes(tx) == [("signal_log_default", "accepted")]
        made = await ensure_partitions(tx, until)
        assert name_of(stray.date()) in made
        assert await homes(tx) == [(name_of(stray.date()), "accepted")]
    async with postgres.transaction() as tx:
        assert await ensure_partitions(tx, until) == []


async def test_a_partition_with_unfinished_work_is_never_dropped(postgres: Database) -> None:
    async with postgres.transaction() as tx:
        month = months((await tx.now()).date(), back=1, ahead=0)[0]
        held = await add_signal(tx, SignalStatus.REVIEW, signal_ts=_noon(month))
        after = _noon(month) + timedelta(days=31)
        assert await drop_expired(tx, after) == [], "a person has not decided yet"
        await tx.count(text(f"UPDATE signal_log SET status = 'failed' WHERE id = '{held}'"))
        assert await drop_expired(tx, _noon(month)) == [], "its last day is not old enough"
        assert await drop_expired(tx, after) == [name_of(month)]
        assert await homes(tx) == []


async def test_old_strays_go_when_they_have_ended(database: Database) -> None:
    async with database.transaction() as tx:
        await add_signal(tx, SignalStatus.EXPIRED, signal_ts=OLD)
        await add_signal(tx, SignalStatus.PROCESSING, signal_ts=OLD)
        await drop_expired(tx, OLD)
        assert len(await tx.all(select(signal_log.c.id))) == 2
        await drop_expired(tx, OLD + timedelta(seconds=1))
        assert [row["status"] for row in await tx.all(select(signal_log.c.status))] == ["processing"]


async def test_sqlite_has_no_partitions_to_make(sqlite_url: str) -> None:
    db = Database(DatabaseOptions(url=sqlite_url))
    async with db.transaction() as tx:
        assert await ensure_partitions(tx, await tx.now()) == []
    await db.close()


def _noon(month: date) -> datetime:
    return datetime(month.year, month.month, 15, 12, tzinfo=UTC)
