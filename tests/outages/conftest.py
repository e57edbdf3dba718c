"""An installation of real processes on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from ratchet.bootstrap import open_runtime
from tests.harness import Plant, at_rest, clean

Plants = Callable[..., AbstractAsyncContextManager[Plant]]


@pytest.fixture
def plants(tmp_path: Path, postgres_url: str) -> Plants:
    """Makes an installation with a broker and one ready service; sending is open, five generated accounts trade."""

    @asynccontextmanager
    async def made(*, redis_url: str | None = None, **settings: str) -> AsyncIterator[Plant]:
        plant = Plant(tmp_path, database_url=postgres_url, redis_url=redis_url, load_accounts=5, settings=settings)
        async with plant:
            await plant.start_simulator()
            await plant.start_service()
            await plant.open_sending()
            yield plant

    return made


async def all_is_well(plant: Plant, *, within: float = 30.0) -> None:
    """Wait until nothing is in work, and check every invariant; the service must never have ended meanwhile."""
    async with open_runtime(plant.loaded(), role="cli") as rt:
        await rt.db.open()
        await at_rest(rt, within=within, tail=plant.services[0].tail)
        await clean(rt)
    assert all(service.running for service in plant.services)
