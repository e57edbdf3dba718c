"""K17, K18 and the points of each order, passed by a leader that rolls: a layer is rolled once, whoever ends it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ratchet.config.portfolio import DEFAULT_FILE
from ratchet.failpoints import Action
from ratchet.persistence.tables import positions, rollover
from ratchet.runtime import Runtime
from tests.crash.rolls import ALWAYS, LEGS, RollCase, everything
from tests.crash.stage import Stage
from tests.harness import Process, at_rest, clean
from tests.messages import message
from tests.servers.waiting import eventually

PATIENCE = 40.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        whole = list(everything())
        chosen = whole if metafunc.config.getoption("--all-crashes") else [c for c in whole if str(c) in ALWAYS]
        metafunc.parametrize("case", chosen, ids=str)


def test_what_every_run_takes_is_part_of_the_whole() -> None:
    assert {str(case) for case in everything()} >= ALWAYS


async def test_a_layer_is_rolled_once_whatever_becomes_of_the_leader(case: RollCase, scene: Stage) -> None:
    async with scene.stand() as stand:
        await stand.executed(message("BASE_ENTRY", case.instrument))
        (before,) = await stand.layers()
        settings = {"PORTFOLIO_FILE": str(_everything_is_due(scene.plant.folder))}
        victim = scene.plant.new_leader(failpoints=case.spec, settings=settings)
        victim.spawn()
        try:
            await _struck(scene, victim, case)
            if case.action is Action.KILL or case.action is Action.PAUSE:
                scene.plant.new_leader(settings=settings).spawn()
            row = await _rolled(stand.rt, victim, case)
            await at_rest(stand.rt)
            (after,) = await stand.layers()
            if row["state"] == "rolled":
                assert after.lots == before.lots
                held = {h.symbol for h in after.holdings if h.quantity}
                assert len(held) == LEGS[case.instrument] // 2
                assert held.isdisjoint(h.symbol for h in before.holdings)
                assert row["rollover_count"] == 1
                assert await _orders_that_filled(scene) == LEGS[case.instrument] * 3 // 2, (
                    "each leg once, and the entry"
                )
            await clean(stand.rt)
        except AssertionError as error:
            logs = "\n".join(leader.tail(6000) for leader in scene.plant.leaders)
            raise AssertionError(f"{error}\n{logs}") from None


def _everything_is_due(folder: Path) -> Path:
    """Return a portfolio by whose rules every nearest contract has to be left."""
    path = folder / "portfolio.yaml"
    path.write_text(re.sub(r"roll_days: \d+", "roll_days: 60", DEFAULT_FILE.read_text()))
    return path


async def _struck(scene: Stage, victim: Process, case: RollCase) -> None:
    await eventually(lambda: scene.plant.fired(victim) == [f"{case.point}:{case.action}"], within=20.0)
    if case.action is Action.KILL:
        assert await victim.gone() == -9


async def _rolled(rt: Runtime, victim: Process, case: RollCase) -> dict[str, Any]:
    """Wait until the one roll has ended and return it; a leader that has ended by itself is started again."""
    ends = ("rolled", "failed") if case.may_stay_failed else ("rolled",)
    query = select(rollover.c.state, rollover.c.detail, positions.c.rollover_count).join(
        positions, positions.c.id == rollover.c.position_id
    )
    seen: list[dict[str, Any]] = []

    async def over() -> bool:
        if not victim.running and case.action in (Action.CUT, Action.RAISE):
            victim.environment.pop("RATCHET_FAILPOINTS", None)
            await asyncio.to_thread(victim.spawn)
        async with rt.db.reading(name="test") as tx:
            seen[:] = [dict(row) for row in await tx.all(query)]
        return len(seen) == 1 and seen[0]["state"] in ends

    try:
        await eventually(over, within=PATIENCE)
    except AssertionError:
        raise AssertionError(f"the roll has not ended: {seen}") from None
    return seen[0]


async def _orders_that_filled(scene: Stage) -> int:
    return sum(order["status"] == "complete" for order in (await scene.plant.broker.book())["orders"])
