"""One process is cut off from the database or from Redis and the others are not: still each order is sent once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from sqlalchemy import select

from ratchet.bootstrap import open_runtime
from ratchet.config.portfolio import DEFAULT_FILE
from ratchet.persistence.tables import positions, rollover
from ratchet.runtime import Runtime
from tests.harness import Plant, Process, at_rest, clean
from tests.integration.persistence.proxy import proxy_to
from tests.messages import message
from tests.servers import ValkeyServer
from tests.servers.waiting import eventually

PATIENCE = 40.0


@pytest_asyncio.fixture
async def plant(tmp_path: Path, postgres_url: str) -> AsyncIterator[Plant]:
    """A broker and a database; sending is open."""
    async with Plant(tmp_path, database_url=postgres_url) as built:
        await built.start_simulator()
        await built.open_sending()
        yield built


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def leads(leader: Process) -> bool:
    """Whether a process leads, by its log."""
    turns = ("leader_elected", "leadership_lost", "fenced_out", "lease_released")
    told = [one["event"] for one in leader.events() if one.get("event") in turns]
    return told[-1:] == ["leader_elected"]


async def test_a_leader_that_is_cut_off_from_the_database_in_a_roll_is_followed_and_adds_nothing(
    plant: Plant, postgres_url: str, tmp_path: Path
) -> None:
    due = tmp_path / "due.yaml"
    due.write_text(re.sub(r"roll_days: \d+", "roll_days: 60", DEFAULT_FILE.read_text()))
    async with proxy_to(port_of(postgres_url)) as proxy, open_runtime(plant.loaded(), role="cli") as rt:
        await rt.db.open()
        await plant.start_service()
        entry = await plant.client.deliver("BASE_ENTRY", "BANK_NIFTY")
        assert (await plant.client.ended(entry))["status"] == "executed"
        apart = {"PORTFOLIO_FILE": str(due), "DATABASE_URL": proxy.url(postgres_url)}
        first = await plant.start_leader(settings=apart)
        await eventually(lambda: _rolls(rt), within=PATIENCE)
        proxy.frozen = True
        second = await plant.start_leader(settings={"PORTFOLIO_FILE": str(due)})
        await eventually(lambda: leads(second), within=PATIENCE)
        assert not leads(first), "its right to act had ended before somebody else could win"
        await eventually(lambda: _rolled(rt), within=PATIENCE)
        proxy.frozen = False
        proxy.cut_all()
        await eventually(lambda: _knows(first), within=PATIENCE)
        assert not leads(first) and leads(second)
        await at_rest(rt)
        async with rt.db.reading(name="test") as tx:
            counts = [row["rollover_count"] for row in await tx.all(select(positions.c.rollover_count))]
        assert counts == [1]
        await clean(rt)


async def _rolls(rt: Runtime) -> bool:
    async with rt.db.reading(name="test") as tx:
        return bool(await tx.all(select(rollover.c.id)))


async def _rolled(rt: Runtime) -> bool:
    async with rt.db.reading(name="test") as tx:
        return [row["state"] for row in await tx.all(select(rollover.c.state))] == ["rolled"]


async def _knows(leader: Process) -> bool:
    """Whether a process reaches the database again."""
    try:
        await leader.ready(within=1.0)
    except AssertionError:
        return False
    return True


async def test_a_service_that_is_cut_off_from_the_database_accepts_nothing_and_then_tells_what_another_did(
    plant: Plant, postgres_url: str
) -> None:
    async with proxy_to(port_of(postgres_url)) as proxy, open_runtime(plant.loaded(), role="cli") as rt:
        await rt.db.open()
        apart = await plant.start_service(settings={"DATABASE_URL": proxy.url(postgres_url)})
        whole = await plant.start_service()
        proxy.frozen = True
        body = message("BASE_ENTRY")
        lost, accepted = await asyncio.gather(
            plant.client.ask("POST", "/signals", body, url=apart.url),
            plant.client.ask("POST", "/signals", body, url=whole.url),
        )
        assert lost[0] in (0, 503), lost
        assert accepted[0] == 202
        proxy.frozen = False
        proxy.cut_all()

        async def told() -> Any:
            status, answer = await plant.client.ask("POST", "/signals", body, url=apart.url)
            return answer if status == 200 else None

        again = await eventually(told, within=PATIENCE)
        assert again["id"] == accepted[1]["id"]
        await at_rest(rt)
        assert len((await plant.broker.book())["orders"]) == 1
        await clean(rt)


@pytest.mark.parametrize("split", ["each has a Redis of its own", "one is cut off from Redis"])
async def test_services_whose_redis_differs_accept_and_send_everything_once(
    split: str, plant: Plant, valkey_server: ValkeyServer
) -> None:
    async with proxy_to(valkey_server.port) as proxy, open_runtime(plant.loaded(), role="cli") as rt:
        await rt.db.open()
        shared = f"redis://127.0.0.1:{valkey_server.port}"
        other = f"redis://127.0.0.1:{proxy.port}/0" if "cut off" in split else f"{shared}/1"
        one = await plant.start_service(settings={"REDIS_URL": f"{shared}/0"})
        two = await plant.start_service(settings={"REDIS_URL": other})
        proxy.frozen = True
        for instrument in ("GOLD_MINI", "COPPER", "SILVER_MINI"):
            body = message("BASE_ENTRY", instrument)
            answers = await asyncio.gather(
                *(plant.client.ask("POST", "/signals", body, url=url) for url in (one.url, two.url) for _ in range(2))
            )
            assert sorted(status for status, _ in answers) == [200, 200, 200, 202], answers
            assert len({answer["id"] for _, answer in answers}) == 1
        await at_rest(rt)
        assert len((await plant.broker.book())["orders"]) == 3
        await clean(rt)
