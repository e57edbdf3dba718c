"""A process is killed, or stalls past its claim's lease, at each crash point; another one takes over."""

from __future__ import annotations

import asyncio

import pytest

from ratchet.failpoints import Action
from tests.crash.cases import Case, covering, product, second_orders
from tests.crash.stage import Stage
from tests.crash.verdict import judge
from tests.harness import Process
from tests.servers.waiting import eventually

EXTRA = {"exit-layer-K8-kill", "exit-all-K10-kill", "synthetic-K8-kill-2", "synthetic-K10-kill-2", "exit-all-K9-kill-2"}
"""Cases that every run takes besides one of each crash point: a lost exit is sent again, a lost put is made good."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen: list[Case] = []
    for turn, action in enumerate((Action.KILL, Action.PAUSE)):
        whole = [*product(action), *second_orders(action)]
        names = {str(case) for case in covering(action, turn=turn)} | EXTRA
        chosen += whole if metafunc.config.getoption("--all-crashes") else [c for c in whole if str(c) in names]
    metafunc.parametrize("case", chosen, ids=str)


async def test_the_signal_ends_once_and_rightly(case: Case, scene: Stage) -> None:
    async with scene.stand() as healthy:
        await case.flow.prepare(scene, healthy)
    await case.flow.market(scene, case.point)
    victim = await scene.plant.start_service(failpoints=case.spec)
    body = case.flow.message()
    first = asyncio.create_task(scene.plant.client.ask("POST", "/signals", body), name="first try")
    try:
        await _struck(scene, victim, case)
        async with scene.stand() as successor:
            await first  # a lost answer is one of the outcomes
            receipt = await successor.hand_in(body)
            row = await successor.ended(receipt.id)
            if case.action is Action.PAUSE:
                assert await victim.stop() == 0
            await judge(case, successor, row)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{victim.tail()}") from None
    finally:
        first.cancel()


async def _struck(scene: Stage, victim: Process, case: Case) -> None:
    await eventually(lambda: scene.plant.fired(victim) == [f"{case.point}:{case.action}"], within=10.0)
    if case.action is Action.KILL:
        assert await victim.gone() == -9
