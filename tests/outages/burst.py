"""A burst of signals over the generated accounts, from senders that do not give up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.harness import Delivery, Plant
from tests.messages import message
from tests.servers.waiting import eventually

LANE = ("BASE_ENTRY", "MARKET_DATA", "EXIT")
INSTRUMENTS = ("GOLD_MINI", "BANK_NIFTY", "COPPER")
ACCOUNTS = 3
SIZE = len(LANE) * len(INSTRUMENTS) * ACCOUNTS


@asynccontextmanager
async def bursting(plant: Plant, *, moment: int = SIZE // 3) -> AsyncIterator[list[Delivery]]:
    """Send a burst; the block runs once `moment` signals are accepted, and the rest is sent during and after it.

    Hands out the deliveries so far. Leaving the block waits until every signal is accepted.
    """
    accepted: list[Delivery] = []

    async def lane(account: str, instrument: str) -> None:
        for kind in LANE:
            accepted.append(await plant.client.deliver_body(message(kind, instrument), account=account))

    async with asyncio.TaskGroup() as lanes:
        for number in range(1, ACCOUNTS + 1):
            for instrument in INSTRUMENTS:
                lanes.create_task(lane(f"load-{number:02}", instrument))
        await eventually(lambda: len(accepted) >= moment)
        yield accepted
    assert len({delivery.id for delivery in accepted}) == SIZE
