"""Leaders in a real cluster roll three positions while they die, freeze and lose their API server."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ratchet.bootstrap import open_runtime
from ratchet.persistence.tables import event_log, positions
from ratchet.runtime import Runtime
from tests.cluster.conftest import Cluster
from tests.harness import Plant, Process, at_rest, clean
from tests.servers.waiting import eventually

pytestmark = pytest.mark.timeout(300)

INSTRUMENTS = ("GOLD_MINI", "BANK_NIFTY", "COPPER")
LEASE_SECONDS = 4
SEED = 5
CHAOS = {"accept_then_cut": 0.1, "error_500_after": 0.05, "cut_before": 0.1, "partial_fill": 0.1, "slow": 0.2}
STEPS = select(event_log.c.kind, event_log.c.stream, event_log.c.leader_epoch).where(
    event_log.c.stream.like("rollover:%")
)


def leaders_of(plant: Plant, cluster: Cluster, lease_name: str, folder: Path) -> Any:
    """Return what makes leaders by whose rules each nearest contract has to be left."""
    portfolio = folder / "portfolio.yaml"
    shipped = files("ratchet.config").joinpath("default_portfolio.yaml").read_text(encoding="utf-8")
    portfolio.write_text(re.sub(r"roll_days: \d+", "roll_days: 60", shipped), encoding="utf-8")
    settings = {
        "PORTFOLIO_FILE": str(portfolio),
        "LEADER__BACKEND": "kubernetes",
        "LEADER__KUBECONFIG": str(cluster.kubeconfig),
        "LEADER__LEASE_NAME": lease_name,
        "LEADER__LEASE_DURATION_SECONDS": str(LEASE_SECONDS),
        "LEADER__RENEW_DEADLINE_SECONDS": "2.4",
        "LEADER__RETRY_PERIOD_SECONDS": "0.8",
        "LEADER__REQUEST_TIMEOUT_SECONDS": "0.7",
    }

    async def start(failpoints: str = "") -> Process:
        number = len(plant.leaders) + 1
        pod = {"LEADER__POD_NAME": f"leader-{number}", "LEADER__POD_UID": f"uid-{number}"}
        return await plant.start_leader(failpoints=failpoints, settings={**settings, **pod})

    return start


def wins(leader: Process) -> list[int]:
    """Return the epochs under which a process led."""
    return [one["leader_epoch"] for one in leader.events() if one.get("event") == "leader_elected"]


def leads(leader: Process) -> bool:
    """Whether a process leads, by its log."""
    told = [one.get("event") for one in leader.events()]
    turns = [event for event in told if event in ("leader_elected", "leadership_lost", "fenced_out", "lease_released")]
    return turns[-1:] == ["leader_elected"]


def last_epoch(plant: Plant) -> int:
    """Return the latest epoch that anybody led under."""
    return max(epoch for leader in plant.leaders for epoch in wins(leader))


def later(plant: Plant, epoch: int) -> bool:
    """Whether somebody has won since."""
    return last_epoch(plant) > epoch


async def rolled(rt: Runtime) -> bool:
    """Whether every position is in its new contract; how often it went there is asked in the end."""
    async with rt.db.reading(name="test") as tx:
        rows = await tx.all(select(positions.c.rollover_status, positions.c.rollover_count))
    return len(rows) == len(INSTRUMENTS) and all(row["rollover_status"] == "rolled" for row in rows)


async def check(rt: Runtime, plant: Plant) -> None:
    """Each position was rolled once, by leaders whose epochs only grew, and the books are in order."""
    async with rt.db.reading(name="test") as tx:
        counts = [row["rollover_count"] for row in await tx.all(select(positions.c.rollover_count))]
        steps = await tx.all(STEPS.order_by(event_log.c.id))
    assert counts == [1] * len(INSTRUMENTS)
    assert [step["kind"] for step in steps].count("rollover:completed") == len(INSTRUMENTS)
    epochs = [step["leader_epoch"] for step in steps]
    assert epochs == sorted(epochs), "a leader wrote after a later one had begun"
    won = [epoch for leader in plant.leaders for epoch in wins(leader)]
    assert len(won) == len(set(won))
    await at_rest(rt, tail=plant.services[0].tail)
    await clean(rt)


async def test_each_position_is_rolled_once_whatever_becomes_of_leaders_and_api_server(
    cluster: Cluster, lease_name: str, tmp_path: Path, postgres_url: str
) -> None:
    async with Plant(tmp_path, database_url=postgres_url) as plant:
        await plant.start_simulator()
        await plant.start_service()
        await plant.open_sending()
        for instrument in INSTRUMENTS:
            entry = await plant.client.deliver("BASE_ENTRY", instrument)
            assert (await plant.client.ended(entry))["status"] == "executed"
        await plant.broker.chaos(SEED, CHAOS)
        start = leaders_of(plant, cluster, lease_name, tmp_path)

        freezes = f"K17:pause:{LEASE_SECONDS + 1}"
        first = await start("K17:kill:2")  # dies between two legs
        second, third = await start(freezes), await start(freezes)  # stop between two legs, past their lease
        await first.gone(within=60)
        await eventually(lambda: plant.fired(second) and plant.fired(third), within=90)

        for breaking, mending in (("hang-api", "resume-api"), ("kill-api", "start-api")):
            await eventually(lambda: leads(second) or leads(third), within=60)
            before = last_epoch(plant)
            await asyncio.to_thread(cluster.fault, breaking)
            try:
                await eventually(lambda: not leads(second) and not leads(third), within=30)
            finally:
                await asyncio.to_thread(cluster.fault, mending)
            await eventually(partial(later, plant, before), within=60)
        third.terminate()
        assert await third.gone(within=60) == 0
        await plant.broker.calm()
        async with open_runtime(plant.loaded(), role="cli") as rt:
            await rt.db.open()
            await eventually(lambda: rolled(rt), within=120)
            assert await second.stop() == 0
            await check(rt, plant)
