"""A connection breaks, or something raises, at each crash point; the same process goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratchet import failpoints
from ratchet.failpoints import Action, Failpoint
from tests.crash.cases import Case, covering, product, second_orders
from tests.crash.stage import Stage
from tests.crash.verdict import judge

EXTRA = {"synthetic-K8-cut-2", "exit-all-K8-raise"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" not in metafunc.fixturenames:
        return
    chosen: list[Case] = []
    for turn, action in enumerate((Action.CUT, Action.RAISE), 2):
        whole = [*product(action), *second_orders(action)]
        names = {str(case) for case in covering(action, turn=turn)} | EXTRA
        chosen += whole if metafunc.config.getoption("--all-crashes") else [c for c in whole if str(c) in names]
    metafunc.parametrize("case", [case for case in chosen if case.point is not Failpoint.K3], ids=str)


async def test_the_signal_ends_once_and_rightly(case: Case, scene: Stage, tmp_path: Path) -> None:
    async with scene.stand() as stand:
        await case.flow.prepare(scene, stand)
        await case.flow.market(scene, case.point)
        fired = tmp_path / "fired"
        failpoints.arm(case.spec, fired)
        body = case.flow.message()
        receipt = await stand.hand_in(body)
        row = await stand.ended(receipt.id)
        assert fired.read_text() == f"{case.point}:{case.action}\n"
        again = await stand.hand_in(body)
        assert (again.id, again.duplicate) == (receipt.id, "exact")
        await judge(case, stand, row)


@pytest.mark.parametrize("action", ["cut", "raise"])
async def test_a_sender_whose_answer_is_lost_is_told_the_same_row_at_its_next_try(action: str, scene: Stage) -> None:
    service = await scene.plant.start_service(failpoints=f"K3:{action}")
    delivery = await scene.plant.client.deliver("BASE_ENTRY")
    assert len(delivery.failures) == 1
    assert delivery.duplicate == "exact"
    assert scene.plant.fired(service) == [f"K3:{action}"]
    assert (await scene.plant.client.ended(delivery))["status"] == "executed"
    assert await service.stop() == 0
