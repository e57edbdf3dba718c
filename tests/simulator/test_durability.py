"""What an answer has said outlives the process that said it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ratchet.brokers.simulator import SimulatorServer, SimulatorSettings
from tests.simulator.desk import CALL, KEY, open_desk, until

ROOT = Path(__file__).parents[2]
START_SECONDS = 20.0


class Killable:
    """A simulator in a process of its own."""

    def __init__(self, folder: Path, number: int) -> None:
        self.port_file = folder / f"port-{number}"
        command = [sys.executable, "-m", "tests.simulator.serve", str(folder / "broker.db"), str(self.port_file)]
        self.process = subprocess.Popen(command, cwd=ROOT)

    async def url(self) -> str:
        async def listening() -> bool:
            assert self.process.poll() is None, "the simulator has ended"
            return self.port_file.exists()

        await until(listening, within_seconds=START_SECONDS)
        return f"http://127.0.0.1:{self.port_file.read_text()}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@asynccontextmanager
async def killable(folder: Path, number: int) -> AsyncIterator[tuple[Killable, str]]:
    server = Killable(folder, number)
    try:
        yield server, await server.url()
    finally:
        server.kill()


async def post(http: aiohttp.ClientSession, url: str, endpoint: str, **fields: Any) -> Any:
    async with http.post(f"{url}/api/v1/{endpoint}", json={"apikey": KEY, **fields}) as response:
        return await response.json()


async def test_every_acknowledged_order_outlives_a_kill_in_the_midst_of_orders(tmp_path: Path) -> None:
    answered: dict[str, str] = {}
    async with killable(tmp_path, 1) as (server, url), aiohttp.ClientSession() as http:
        listed = await post(http, url, "expiry", symbol="COPPER", exchange="MCX", instrumenttype="futures")
        contract = f"COPPER{listed['data'][1].replace('-', '')}FUT"

        async def keep_ordering(worker: int) -> None:
            for number in range(10_000):
                ghost = f"{worker}-{number}"
                fields = {"strategy": ghost, "symbol": contract, "exchange": "MCX", "action": "BUY", "quantity": 2500}
                reply = await post(http, url, "placeorder", product="NRML", **fields)
                answered[ghost] = reply["orderid"]

        workers = [asyncio.create_task(keep_ordering(worker)) for worker in range(4)]

        async def busy() -> bool:
            return len(answered) >= 40

        await until(busy, within_seconds=START_SECONDS)
        server.kill()
        results = await asyncio.gather(*workers, return_exceptions=True)
        assert all(isinstance(result, aiohttp.ClientError) for result in results)
    async with killable(tmp_path, 2) as (_, url), aiohttp.ClientSession() as http:
        async with http.get(f"{url}/admin/book") as response:
            rows = (await response.json())["orders"]
        stored = {row["intent_ghost"]: row["order_id"] for row in rows}
        assert answered.items() <= stored.items()
        assert len(stored) - len(answered) <= 4
        book = (await post(http, url, "orderbook"))["data"]["orders"]
        assert [row["orderid"] for row in book] == [row["order_id"] for row in rows]
        assert sum(row["quantity"] for row in (await post(http, url, "tradebook"))["data"]) == 2500 * len(rows)
        assert (await post(http, url, "positionbook"))["data"][0]["quantity"] == 2500 * len(rows)


async def test_a_restart_keeps_books_of_all_accounts_and_what_faults_have_done_to_orders(tmp_path: Path) -> None:
    settings = {"store_path": tmp_path / "broker.db"}
    async with open_desk(**settings) as desk:
        await desk.place(key=f"{KEY}-b", strategy="b")
        await desk.fault("partial_fill", rest="after", seconds=5)
        partial = await desk.place(strategy="partial")
        resting = await desk.place(strategy="resting", pricetype="LIMIT", price=600)
        before = {name: await desk.data(name) for name in ("orderbook", "tradebook", "positionbook")}
    async with open_desk(**settings) as desk:
        assert {name: await desk.data(name) for name in before} == before
        assert sorted(await desk.ghosts()) == ["b", "partial", "resting"]
        assert [row["endpoint"] for row in (await desk.admin("book"))["calls"]] == ["placeorder"] * 3
        await desk.clock.advance(5)
        assert (await desk.status(partial))["order_status"] == "complete"
        await desk.admin("quotes", {"symbol": CALL, "exchange": "NFO", "ltp": 500})
        assert (await desk.status(resting))["order_status"] == "complete"


async def test_the_server_starts_in_half_a_second_and_stops_twice_without_harm(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    server = SimulatorServer(SimulatorSettings(store_path=tmp_path / "broker.db"))
    await server.start()
    assert loop.time() - began < 0.5
    await server.stop()
    await server.stop()


async def test_a_taken_port_is_said_at_once_and_leaves_no_store_open(tmp_path: Path) -> None:
    async with SimulatorServer(SimulatorSettings(store_path=tmp_path / "a.db")) as first:
        second = SimulatorServer(SimulatorSettings(store_path=tmp_path / "b.db"), port=first.port)
        with pytest.raises(OSError, match="in use"):
            await second.start()
        assert not (tmp_path / "b.db").exists()
