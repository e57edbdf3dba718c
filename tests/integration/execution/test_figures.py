"""A day in figures, the curve of equity, and the alarms that begin and end by themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from ratchet.clock import SystemClock
from ratchet.domain.calendar import IST
from ratchet.execution import figures as duty
from ratchet.persistence import figures, incidents
from ratchet.persistence.figures import RawDay
from tests.world import World, world

DAY = date(2027, 1, 11)


def raw(**parts: list[tuple[object, ...]]) -> RawDay:
    nothing: dict[str, list[tuple[object, ...]]] = {
        "signals": [],
        "latencies": [],
        "orders": [],
        "realised": [],
        "trades": [],
    }
    return RawDay(**{**nothing, **parts})  # type: ignore[arg-type]


def test_percentiles_are_by_nearest_rank() -> None:
    latencies: list[tuple[object, ...]] = [("a", "COPPER", float(n)) for n in range(1, 101)]

    (row,) = duty.summarise(raw(signals=[("a", "COPPER", "executed", 100)], latencies=latencies), DAY)

    assert row.latency == {"p50": 50.0, "p95": 95.0, "p99": 99.0}


def test_a_row_for_each_account_and_instrument_that_did_anything() -> None:
    rows = duty.summarise(
        raw(
            signals=[("a", "COPPER", "executed", 2), ("a", "COPPER", "blocked", 1)],
            realised=[("b", "GOLD_MINI", Decimal("120.5"))],
            trades=[("b", "GOLD_MINI", 1, 2)],
        ),
        DAY,
    )

    assert [(row.account, row.instrument) for row in rows] == [("a", "COPPER"), ("b", "GOLD_MINI")]
    assert rows[0].signals == {"executed": 2, "blocked": 1}
    assert rows[0].latency is None
    assert rows[1].realised == Decimal("120.5")
    assert rows[1].trades == {"won": 1, "lost": 2, "win_ratio": "0.3333"}


async def kinds_open(w: World) -> set[str]:
    async with w.rt.db.single(name="test") as tx:
        return {kind for kind in (duty.STALE_BARS, duty.STUCK_SIGNALS) if await incidents.open_alarms(tx, kind)}


async def test_the_day_is_counted_from_its_rows_and_counted_again_the_same(tmp_path: Path, database_url: str) -> None:
    async with world(tmp_path, database_url) as w:
        await w.executed("BASE_ENTRY", "GOLD_MINI")
        await w.executed("EXIT", "GOLD_MINI")

        await duty.run(w.rt)
        await duty.run(w.rt)

        async with w.rt.db.single(name="test") as tx:
            rows = await figures.of_day(tx, w.account, datetime.now(UTC).astimezone(IST).date())
        assert [row["instrument"] for row in rows] == ["GOLD_MINI"]
        assert rows[0]["signals"] == {"executed": 2}
        assert rows[0]["orders"] == {"FILLED": 2}
        assert set(rows[0]["latency"]) == {"p50", "p95", "p99"}


async def test_the_curve_has_a_point_while_something_is_held(tmp_path: Path, sqlite_url: str) -> None:
    async with world(tmp_path, sqlite_url) as w:
        await w.executed("BASE_ENTRY", "GOLD_MINI")

        await duty.run(w.rt)

        async with w.rt.db.single(name="test") as tx:
            curve = await figures.curve(tx, w.account, since=datetime(2000, 1, 1, tzinfo=UTC))
        purse = await w.purse()
        assert [(point["closed"], point["used"]) for point in curve] == [(purse.closed_equity, purse.used)]


class Later(SystemClock):
    """The machine's clock, some hours ahead."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=2)


async def test_a_person_is_told_once_of_bars_that_stay_away_and_again_when_they_come(
    tmp_path: Path, sqlite_url: str
) -> None:
    async with world(tmp_path, sqlite_url) as w:
        await w.executed("BASE_ENTRY", "GOLD_MINI")
        late = replace(w.rt, clock=Later())

        before = await kinds_open(w)
        await duty.run(late)
        during = await kinds_open(w)
        await duty.run(w.rt)

        assert (before, during, await kinds_open(w)) == (set(), {duty.STALE_BARS}, set())
