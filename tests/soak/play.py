"""Plays one schedule: start, hurt, heal, wait, audit."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratchet.broken import Broken
from ratchet.runtime import Runtime
from tests.cluster.conftest import Cluster
from tests.soak import verdict
from tests.soak.acts import Acts
from tests.soak.api_server import Ways, ways_to
from tests.soak.diary import Diary
from tests.soak.market import Market
from tests.soak.schedule import LEADERS, LOAD_ACCOUNTS, Schedule, draw
from tests.soak.site import ForkedPlant, Servers, site
from tests.soak.traffic import Traffic

_TURNS = ("leader_elected", "leadership_lost", "fenced_out", "lease_released")


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of one seed. findings: empty if nothing is violated; folder: logs and books, kept if something is.

    leaders: where they were elected, `database` or `kubernetes`.
    """

    seed: int
    broken: str | None = None
    seconds: float = 0.0
    exclusive: bool = True
    leaders: str = "database"
    failpoints: tuple[str, ...] = ()
    fired: list[str] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    diary: list[dict[str, Any]] = field(default_factory=list)
    folder: str | None = None


async def play(
    servers: Servers, folder: Path, seed: int, *, broken: Broken | None = None, cluster: Cluster | None = None
) -> Result:
    """Play the schedule of a seed, with whole processes or those of a broken build.

    cluster: where leaders may be elected, if the seed says so.
    """
    began = time.monotonic()
    schedule = draw(seed, cluster=cluster is not None)
    result = Result(
        seed=seed,
        broken=None if broken is None else str(broken),
        exclusive=schedule.exclusive,
        leaders="kubernetes" if schedule.in_cluster else "database",
        failpoints=schedule.failpoints + schedule.leader_failpoints,
    )
    await asyncio.to_thread(servers.valkey.flush)
    exclusive = {"BROKER__EXCLUSIVE_ACCOUNT": str(schedule.exclusive).lower()}
    async with AsyncExitStack() as stack:
        ways = None
        if cluster is not None and schedule.in_cluster:
            ways = await stack.enter_async_context(ways_to(cluster, folder, leaders=LEADERS))
        plant, rt = await stack.enter_async_context(
            site(servers, folder, load_accounts=LOAD_ACCOUNTS, settings=exclusive)
        )
        await _start(plant, schedule, broken, ways)
        await _hurt_and_audit(plant, rt, schedule, result, ways)
    result.seconds = round(time.monotonic() - began, 1)
    if result.findings:
        result.folder = str(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return result


async def _start(plant: ForkedPlant, schedule: Schedule, broken: Broken | None, ways: Ways | None) -> None:
    build = "" if broken is None else str(broken)
    for failpoints in schedule.failpoints:
        plant.new_service(failpoints=failpoints, broken_build=build)
    for which, failpoints in enumerate(schedule.leader_failpoints):
        settings = {"PORTFOLIO_FILE": str(plant.rolling_portfolio)} if schedule.rolls else {}
        if ways is not None:
            settings |= ways.settings(which)
        plant.new_leader(failpoints=failpoints, broken_build=build, settings=settings)
    for process in [*plant.services, *plant.leaders]:
        process.spawn()
    await plant.open_sending()
    for service in plant.services:
        await service.listening()


async def _hurt_and_audit(
    plant: ForkedPlant, rt: Runtime, schedule: Schedule, result: Result, ways: Ways | None
) -> None:
    diary, market = Diary(), Market()
    if ways is not None:
        diary.note("leaders are elected in the cluster", namespace=ways.namespace)
    acts = Acts(plant, rt, market, diary, ways=ways)
    traffic = Traffic(plant.client, market, diary)
    keeper = asyncio.create_task(acts.keep_running(), name="keeper")
    try:
        sending = asyncio.create_task(traffic.send(schedule.signals), name="traffic")
        await acts.play(schedule.acts)
        await acts.heal()
        await sending
        diary.note("every signal is answered")
        unfinished = await verdict.at_rest(rt, rolls=schedule.rolls)
        diary.note("at rest")
        found = verdict.finding("I3", "every signal and roll ends, or is held by a person who was told", unfinished)
        found += await verdict.audit(rt)
        found += verdict.finding("G2", "what was accepted is stored", await verdict.lost(rt, traffic.answered))
        if ways is not None:
            unled = [] if await verdict.led(acts) else [{"leaders": "none"}]
            found += verdict.finding("L1", "with the API server a leader is back", unled)
        found += verdict.finding("T1", "a sender is answered, twice with the same signal", traffic.broken)
        diary.note("audited")
        result.counts = await verdict.counts(rt)
    finally:
        await _ended(keeper)
    result.counts["errors"] = _errors(plant)
    result.counts["leadership"] = _turns(plant)
    result.fired = [line for process in plant.processes for line in plant.fired(process)]
    result.findings = found
    result.diary = diary.entries


def _errors(plant: ForkedPlant) -> dict[str, int]:
    """Return how often which error was logged: most are what the schedule asked for, a failed turn deserves a look."""
    found: Counter[str] = Counter()
    for process in plant.processes:
        for line in process.log.read_text(errors="replace").splitlines() if process.log.exists() else ():
            if '"level": "ERROR"' in line:
                found[_in_short(line)] += 1
            elif line.startswith("Traceback"):
                found["traceback outside the log"] += 1
    return dict(found)


def _turns(plant: ForkedPlant) -> dict[str, int]:
    """Return how often leadership was won, lost and given back."""
    logs = [leader.log.read_text(errors="replace") for leader in plant.leaders if leader.log.exists()]
    return {turn: sum(log.count(f'"event": "{turn}"') for log in logs) for turn in _TURNS}


def _in_short(line: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError:  # cut off by a kill
        return "unreadable"
    words = str(entry.get("error", "")).strip().splitlines()
    return f"{entry.get('event')}: {words[-1][:120]}" if words else str(entry.get("event"))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
