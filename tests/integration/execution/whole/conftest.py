"""A desk on each database in turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.execution.whole.desk import Desk, desk


@pytest.fixture
async def at(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk with the shipped portfolio and a quick ladder."""
    async with desk(tmp_path, database_url) as opened:
        yield opened
