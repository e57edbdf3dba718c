"""The broker is down, slow, says nothing true, or has lost its session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.crash.stage import Stage, stage
from tests.harness import at_rest, clean
from tests.messages import message
from tests.outages.conftest import Plants, all_is_well
from tests.servers.waiting import eventually


@pytest_asyncio.fixture
async def scene(tmp_path: Path, postgres_url: str) -> AsyncIterator[Stage]:
    """A fresh PostgreSQL database, and a broker in this process."""
    async with stage(tmp_path, postgres_url) as built:
        yield built


async def test_while_it_is_down_orders_wait_and_each_is_placed_once_when_it_is_back(plants: Plants) -> None:
    async with plants() as plant:
        assert plant.simulator is not None
        await plant.client.ended(await plant.client.deliver("BASE_ENTRY", "COPPER"))
        plant.simulator.kill()
        entry = await plant.client.deliver("BASE_ENTRY")
        leave = await plant.client.deliver("EXIT", "COPPER")

        async def tried() -> bool:
            return "turn_broker" in {event["event"] for event in plant.services[0].events()}

        await eventually(tried)
        assert (await plant.client.signal(entry.id) or {})["status"] == "processing"
        await plant.start_simulator()
        for delivery in (entry, leave):
            assert (await plant.client.ended(delivery))["status"] == "executed"
        await all_is_well(plant)


ANSWERS: dict[str, dict[str, Any]] = {
    "slow": {"seconds": 0.8},
    "error_500_after": {},
    "accept_then_cut": {},
    "accept_then_hang": {"seconds": 2.5},
    "hang_then_book": {"seconds": 2.5},
    "garbage_body": {},
    "gateway_504": {"booked": True},
    "string_numbers": {},
    "book_lag": {"seconds": 0.4},
    "odd_status": {},
    "rate_limit_429": {},
}
"""Faults of a placement after which the order exists, or can be placed: each entry must be executed, exactly once."""


@pytest.mark.parametrize("fault", ANSWERS)
async def test_whatever_it_says_the_order_is_found_and_placed_once(fault: str, scene: Stage) -> None:
    async with scene.stand() as stand:
        await scene.plant.broker.fault(fault, **ANSWERS[fault])
        row = await stand.ended((await stand.hand_in(message("BASE_ENTRY"))).id)
        assert row["status"] == "executed", row
        await scene.plant.broker.calm()
        await stand.executed(message("EXIT"))
        await at_rest(stand.rt)
        assert await stand.layers() == []
        await clean(stand.rt)


async def test_an_unclear_answer_without_an_order_ends_as_not_placed_and_is_not_sent_again(scene: Stage) -> None:
    async with scene.stand() as stand:
        await scene.plant.broker.fault("gateway_502", booked=False)
        row = await stand.ended((await stand.hand_in(message("BASE_ENTRY"))).id)
        assert (row["status"], row["reason"]) == ("failed", "not_placed"), row
        assert (await scene.plant.broker.book())["orders"] == []
        await clean(stand.rt)


async def test_a_book_that_cannot_be_read_proves_nothing_and_is_read_again(scene: Stage) -> None:
    async with scene.stand() as stand:
        await scene.plant.broker.fault("accept_then_cut")
        await scene.plant.broker.fault("book_500", times=6)
        row = await stand.ended((await stand.hand_in(message("BASE_ENTRY"))).id)
        assert row["status"] == "executed", row
        assert len((await scene.plant.broker.book())["orders"]) == 1
        await clean(stand.rt)


async def test_a_lost_session_stops_all_sending_until_a_person_has_renewed_it(scene: Stage) -> None:
    async with scene.stand() as stand:
        await stand.executed(message("BASE_ENTRY"))
        await scene.plant.broker.fault("session_lost")
        row = await stand.ended((await stand.hand_in(message("BASE_ENTRY", "COPPER"))).id)
        assert row["status"] != "executed", row
        leave = await stand.hand_in(message("EXIT"))
        blocked = await stand.ended((await stand.hand_in(message("BASE_ENTRY", "SILVER_MINI"))).id)
        assert (blocked["status"], blocked["reason"]) == ("blocked", "kill_switch")
        assert len(await stand.layers()) == 1
        command = scene.plant.command("kill-switch", "off", "--reason", "logged in again")
        command.spawn()
        assert await command.gone() == 0, command.tail()
        assert (await stand.ended(leave.id))["status"] == "executed"
        await clean(stand.rt)
