"""A desk in each mode."""

from collections.abc import AsyncIterator

import pytest

from ratchet.brokers.simulator import Mode
from tests.simulator.desk import Desk, open_desk


@pytest.fixture
async def live() -> AsyncIterator[Desk]:
    async with open_desk() as desk:
        yield desk


@pytest.fixture
async def sandbox() -> AsyncIterator[Desk]:
    async with open_desk(mode=Mode.ANALYZE) as desk:
        yield desk


@pytest.fixture(params=list(Mode))
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with open_desk(mode=request.param) as desk:
        yield desk
