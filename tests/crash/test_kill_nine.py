"""kill -9 in the middle of a burst, and a start: nothing is lost, nothing is done twice, and every book agrees."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ratchet.bootstrap import open_runtime
from tests.harness import Delivery, Plant, Process, at_rest, clean
from tests.messages import PRICES, message
from tests.servers.waiting import eventually

ACCOUNTS_A_ROUND = 5
LANE = ("BASE_ENTRY", "MARKET_DATA", "EXIT")
BURST = ACCOUNTS_A_ROUND * len(PRICES) * len(LANE)
"""Signals of one round: 60. Each round has accounts of its own, since two entries within a minute are one."""


@pytest_asyncio.fixture
async def plant(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> AsyncIterator[Plant]:
    """A broker, one service, sending open; accounts for every round."""
    rounds: int = request.config.getoption("--kills")
    async with Plant(tmp_path, database_url=postgres_url, load_accounts=rounds * ACCOUNTS_A_ROUND) as built:
        await built.start_simulator()
        await built.start_service()
        await built.open_sending()
        yield built


@pytest.mark.timeout(1200)
async def test_a_burst_survives_a_kill_again_and_again(request: pytest.FixtureRequest, plant: Plant) -> None:
    async with open_runtime(plant.loaded(), role="cli") as rt:
        await rt.db.open()
        for number in range(request.config.getoption("--kills")):
            moment = random.Random(number).randrange(5, BURST - 5)
            deliveries = await _burst_with_a_kill(plant, plant.services[0], number, moment)
            told = f"round {number}: killed after {moment} of {BURST} answers"
            assert len({delivery.id for delivery in deliveries}) == BURST, told
            await at_rest(rt, within=60.0, tail=plant.services[0].tail)
            try:
                await clean(rt)
            except AssertionError as error:
                raise AssertionError(f"{told}\n{error}") from None


async def _burst_with_a_kill(plant: Plant, service: Process, number: int, moment: int) -> list[Delivery]:
    answered: list[Delivery] = []

    async def lane(account: str, instrument: str) -> None:
        for kind in LANE:  # sent again until answered, as a sender does that is told nothing
            answered.append(await plant.client.deliver_body(message(kind, instrument), account=account))

    first = number * ACCOUNTS_A_ROUND
    accounts = [f"load-{first + n:02}" for n in range(1, ACCOUNTS_A_ROUND + 1)]
    async with asyncio.TaskGroup() as lanes:
        for account in accounts:
            for instrument in PRICES:
                lanes.create_task(lane(account, instrument))
        await eventually(lambda: len(answered) >= moment)
        service.kill()
        service.spawn()
        await service.ready()
    return answered
