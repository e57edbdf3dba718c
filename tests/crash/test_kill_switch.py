"""K19: the kill switch's commit is in doubt. Whoever switched is told which value holds, and it is obeyed."""

from __future__ import annotations

import pytest

from ratchet import failpoints
from ratchet.execution.switch import Level, switch
from tests.crash.stage import Stage
from tests.harness import at_rest, clean
from tests.messages import message


async def test_a_switch_whose_answer_is_lost_is_read_back_and_obeyed(scene: Stage) -> None:
    async with scene.stand() as stand:
        failpoints.arm("K19:cut")
        done = await switch(stand.rt.db, Level.ENTRIES_OFF, reason="a test", by="somebody")
        assert (done.in_doubt, done.took_effect) == (True, True)
        row = await stand.ended((await stand.hand_in(message("BASE_ENTRY"))).id)
        assert (row["status"], row["reason"]) == ("blocked", "kill_switch")
        await clean(stand.rt)


async def test_a_switch_that_raises_says_so_and_is_obeyed(scene: Stage) -> None:
    async with scene.stand() as stand:
        failpoints.arm("K19:raise")
        with pytest.raises(failpoints.FailpointRaised):
            await switch(stand.rt.db, Level.ENTRIES_OFF, reason="a test", by="somebody")
        row = await stand.ended((await stand.hand_in(message("BASE_ENTRY"))).id)
        assert (row["status"], row["reason"]) == ("blocked", "kill_switch")
        await clean(stand.rt)


@pytest.mark.parametrize("death", ["kill", "pause:1.2"])
async def test_a_command_that_dies_or_stalls_after_its_commit_stops_entries_and_lets_exits_go_on(
    death: str, scene: Stage
) -> None:
    async with scene.stand() as stand:
        await stand.executed(message("BASE_ENTRY"))
        command = scene.plant.command("kill-switch", "on", "--reason", "odd fills", failpoints=f"K19:{death}")
        command.spawn()
        assert await command.gone() == (-9 if death == "kill" else 0), command.tail()
        assert scene.plant.fired(command) == [f"K19:{death.partition(':')[0]}"]
        row = await stand.ended((await stand.hand_in(message("BASE_ENTRY", "COPPER"))).id)
        assert (row["status"], row["reason"]) == ("blocked", "kill_switch")
        await stand.executed(message("EXIT"))
        await at_rest(stand.rt)
        assert await stand.layers() == []
        await clean(stand.rt)
