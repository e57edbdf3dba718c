"""A stage for each case, and the choice of the cases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from ratchet import failpoints
from tests.crash.stage import Stage, stage


@pytest_asyncio.fixture
async def scene(tmp_path: Path, postgres_url: str) -> AsyncIterator[Stage]:
    """A fresh PostgreSQL database and broker."""
    async with stage(tmp_path, postgres_url) as built:
        yield built


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    """No failpoint stays armed in this process."""
    yield
    failpoints.disarm()
