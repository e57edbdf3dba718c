"""Fixtures of the service's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.service.running import Pod, running, settings_for


@pytest_asyncio.fixture(loop_scope="module")
async def pod(tmp_path: Path) -> AsyncIterator[Pod]:
    """A pod with default bounds and an acceptor in memory."""
    async with running(settings_for(tmp_path)) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pod]:
    """One pod for all tests of a module that leave nothing behind which the others would see."""
    async with running(settings_for(tmp_path_factory.mktemp("shared"))) as made:
        yield made
