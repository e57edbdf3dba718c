"""The database is lost, restarted, frozen, switched to read-only, or has no connection to spare."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.messages import message
from tests.outages.burst import bursting
from tests.outages.conftest import Plants, all_is_well
from tests.servers import PostgresServer
from tests.servers.waiting import eventually


@pytest.fixture(autouse=True)
def _as_it_was(postgres_server: PostgresServer) -> Iterator[None]:
    """The server that others share runs again after each test."""
    yield
    if not postgres_server.running:
        postgres_server.start()
    postgres_server.thaw()


async def test_without_it_senders_are_told_to_come_back_and_it_comes_back_by_itself(
    plants: Plants, postgres_server: PostgresServer
) -> None:
    async with plants() as plant:
        before = await plant.client.deliver("BASE_ENTRY")
        await plant.client.ended(before)
        postgres_server.kill()
        body = message("EXIT")
        status, headers, problem = await plant.client.look("POST", "/signals", body)
        assert (status, headers["content-type"]) == (503, "application/problem+json"), problem
        assert int(headers["retry-after"]) >= 1

        async def read_only() -> bool:
            _, headers, health = await plant.client.look("GET", "/health")
            assert (await plant.client.ask("GET", "/livez"))[0] == 200
            return health["read_only"] is True and not health["database"]["reachable"] and bool(headers)

        await eventually(read_only)
        postgres_server.start()
        delivery = await plant.client.deliver_body(body)
        assert (await plant.client.ended(delivery))["status"] == "executed"
        await all_is_well(plant)


@pytest.mark.parametrize("how", ["cut", "restart", "kill"])
async def test_a_burst_survives_its_connections(how: str, plants: Plants, postgres_server: PostgresServer) -> None:
    async with plants() as plant:
        async with bursting(plant):
            match how:
                case "cut":
                    assert postgres_server.cut_connections() > 0
                case "restart":
                    postgres_server.restart()
                case _:
                    postgres_server.kill()
                    postgres_server.start()
        await all_is_well(plant)


async def test_a_frozen_one_holds_nobody_for_ever_and_loses_nothing(
    plants: Plants, postgres_server: PostgresServer
) -> None:
    async with plants() as plant:
        async with bursting(plant):
            postgres_server.freeze()
            # The client waits 3 s, as TradingView does, which sends again after an answer, not after silence.
            status, headers, problem = await plant.client.look("POST", "/signals", message("BASE_ENTRY"))
            postgres_server.thaw()
            assert status == 503, problem
            assert int(headers["retry-after"]) >= 1
        await all_is_well(plant)


async def test_one_that_takes_no_writes_is_still_read_from(plants: Plants, postgres_server: PostgresServer) -> None:
    async with plants() as plant:
        first = await plant.client.deliver("BASE_ENTRY")
        await plant.client.ended(first)
        postgres_server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        try:
            postgres_server.execute("SELECT pg_reload_conf()")

            async def refused() -> bool:
                status, headers, _ = await plant.client.look("POST", "/signals", message("MARKET_DATA"))
                return status == 503 and "retry-after" in headers

            await eventually(refused)

            async def still_read() -> bool:
                status, headers, page = await plant.client.look("GET", "/signals?limit=1")
                return status == 200 and headers.get("x-ratchet-mode") == "read-only" and len(page["items"]) == 1

            await eventually(still_read)
        finally:
            with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
                connection.execute("SELECT pg_reload_conf()")
        delivery = await plant.client.deliver("EXIT")
        assert (await plant.client.ended(delivery))["status"] == "executed"
        await all_is_well(plant)


async def test_with_every_connection_taken_signals_wait_or_are_sent_again_and_none_is_lost(
    plants: Plants, postgres_url: str
) -> None:
    settings = {
        "DATABASE__POOL_SIZE": "2",
        "DATABASE__POOL_TIMEOUT_SECONDS": "0.2",
    }
    async with plants(**settings) as plant:
        with psycopg.connect(postgres_url) as connection:
            async with bursting(plant):
                # Every accept, claim and permission waits for this lock, and keeps its connection meanwhile.
                connection.execute("LOCK TABLE signal_log IN ACCESS EXCLUSIVE MODE")

                async def told_to_come_back() -> bool:
                    status, headers, _ = await plant.client.look("POST", "/signals", message("BASE_ENTRY"))
                    return status == 503 and "retry-after" in headers

                await eventually(told_to_come_back, within=10.0)
                connection.rollback()
        await all_is_well(plant)
