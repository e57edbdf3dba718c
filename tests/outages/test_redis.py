"""Redis is killed, frozen, full or emptied in the middle of work: it saves work and decides nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.messages import message
from tests.outages.burst import bursting
from tests.outages.conftest import Plants, all_is_well
from tests.servers import ValkeyServer
from tests.servers.waiting import eventually


@pytest.fixture(autouse=True)
def _as_it_was(valkey_server: ValkeyServer) -> Iterator[None]:
    """The server that others share answers again after each test."""
    yield
    valkey_server.thaw()
    if not valkey_server.running:
        valkey_server.start()
    valkey_server.ask("CONFIG", "SET", "maxmemory", "64mb")


def _hurt(how: str, server: ValkeyServer) -> None:
    match how:
        case "kill":
            server.kill()
        case "freeze":
            server.freeze()
        case "fill":
            server.ask("CONFIG", "SET", "maxmemory", "1")
        case "empty":
            server.flush()


@pytest.mark.parametrize("how", ["kill", "freeze", "fill", "empty"])
async def test_signals_are_accepted_and_executed_all_the_same(
    how: str, plants: Plants, valkey_url: str, valkey_server: ValkeyServer
) -> None:
    async with plants(redis_url=valkey_url) as plant:
        first = await plant.client.deliver("BASE_ENTRY", "SILVER_MINI")
        async with bursting(plant):
            _hurt(how, valkey_server)
            # The client waits 3 s: far more than the few tries of Redis take, far less than one that hangs.
            status, answer = await plant.client.ask("POST", "/signals", message("MARKET_DATA", "SILVER_MINI"))
            assert status == 202, answer
            again = await plant.client.deliver_body(first.body)
            assert (again.id, again.duplicate) == (first.id, "exact")
        await all_is_well(plant)


async def test_it_is_used_again_when_it_is_back(plants: Plants, valkey_url: str, valkey_server: ValkeyServer) -> None:
    async with plants(redis_url=valkey_url) as plant:
        valkey_server.kill()
        for instrument in ("GOLD_MINI", "COPPER", "SILVER_MINI", "BANK_NIFTY"):
            await plant.client.ended(await plant.client.deliver("MARKET_DATA", instrument))
        assert (await plant.client.ask("GET", "/health"))[1]["redis"] == {"configured": True, "healthy": False}
        valkey_server.start()

        async def used_again() -> bool:
            await plant.client.deliver("MARKET_DATA")  # it is tried by those who need it
            _, health = await plant.client.ask("GET", "/health")
            return bool(health["redis"]["healthy"])

        await eventually(used_again)
        await all_is_well(plant)
