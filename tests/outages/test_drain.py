"""SIGTERM: what is in flight ends and is recorded, nobody is refused meanwhile, and a second one ends it at once."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from tests.harness import Plant, Process
from tests.harness.plant import API_TOKEN
from tests.messages import message
from tests.outages.conftest import Plants, all_is_well
from tests.servers.waiting import eventually

DELAY_SECONDS = 1.5


def _said(process: Process, event: str) -> bool:
    return event in {line["event"] for line in process.events()}


async def _placing(plant: Plant, seconds: float) -> str:
    """Send an entry whose placement takes this long, and return its id once the order is on its way."""
    await plant.broker.fault("slow", seconds=seconds)
    delivery = await plant.client.deliver("BASE_ENTRY")

    async def on_its_way() -> bool:
        signal = await plant.client.signal(delivery.id) or {}
        return any(order["state"] == "SENDING" for order in signal["orders"])

    await eventually(on_its_way)
    return delivery.id


async def test_an_order_in_flight_ends_and_is_recorded_before_the_process_does(plants: Plants) -> None:
    async with plants() as plant:
        signal_id = await _placing(plant, 1.0)
        began = time.monotonic()
        assert await plant.services[0].stop() == 0
        assert time.monotonic() - began < 5.0
        assert _said(plant.services[0], "order_sent")
        assert _said(plant.services[0], "ended")
        second = await plant.start_service()
        signal = await plant.client.signal(signal_id)
        assert signal is not None
        assert signal["orders"][0]["state"] in ("WORKING", "FILLED"), "what was sent was recorded by its sender"
        plant.services.remove(plant.services[0])
        await all_is_well(plant)
        assert second.running


async def test_a_second_sigterm_ends_it_at_once(plants: Plants) -> None:
    async with plants(DRAIN__DELAY_SECONDS="30") as plant:
        service = plant.services[0]
        service.terminate()
        await eventually(lambda: _said(service, "draining"))
        began = time.monotonic()
        service.terminate()
        assert await service.gone() == 0
        assert time.monotonic() - began < 2.5
        plant.services.remove(service)
        await plant.start_service()
        await all_is_well(plant)


async def _send_until(url: str, over: asyncio.Event, *, kept: bool, number: int) -> list[int | str]:
    """Send bars until it is over; return the status of each, or what went wrong."""
    told: list[int | str] = []
    connector = aiohttp.TCPConnector(force_close=not kept)
    headers = {"authorization": f"Bearer {API_TOKEN}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        while not over.is_set():
            body = message("MARKET_DATA", note=f"{number} {len(told)}")
            try:
                async with session.post(f"{url}/signals", data=body) as answer:
                    await answer.read()
                    told.append(answer.status)
            except aiohttp.ClientError as error:
                told.append(repr(error))
    return told


async def test_until_the_delay_is_over_no_request_fails_on_new_or_kept_connections(plants: Plants) -> None:
    async with plants(DRAIN__DELAY_SECONDS=str(DELAY_SECONDS), HTTP__RATE_LIMIT_PER_SECOND="0") as plant:
        service = plant.services[0]
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            clients = [
                tasks.create_task(_send_until(service.url, over, kept=number % 2 == 0, number=number))
                for number in range(4)
            ]
            service.terminate()
            await eventually(lambda: _said(service, "draining"))
            asyncio.get_running_loop().call_later(DELAY_SECONDS * 0.8, over.set)
            await over.wait()
        answers = [status for client in clients for status in client.result()]
        assert len(answers) > 20
        assert set(answers) <= {200, 202}
        assert await service.gone() == 0
        plant.services.remove(service)
        await plant.start_service()
        await all_is_well(plant)
