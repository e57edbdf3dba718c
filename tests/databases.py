"""Databases with our schema, for tests: `database_url` and `database` run a test once on each kind.

Import the fixtures by name into a conftest.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ratchet.persistence import migrate
from ratchet.persistence.database import Database, DatabaseOptions
from tests.servers import PostgresServer


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh PostgreSQL database with our tables."""
    url = postgres_server.create_migrated_database(_migrate)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with our tables, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a fresh SQLite database with our tables."""
    path = shutil.copy(sqlite_template, tmp_path / "ratchet.db")
    return f"sqlite:///{path}"


@pytest.fixture(params=["postgresql", "sqlite"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh database with our tables, of each kind in turn."""
    url: str = request.getfixturevalue("postgres_url" if request.param == "postgresql" else "sqlite_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database of each kind in turn."""
    opened = Database(DatabaseOptions(url=database_url))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[Database]:
    """An open PostgreSQL database."""
    opened = Database(DatabaseOptions(url=postgres_url))
    await opened.open()
    yield opened
    await opened.close()


def _migrate(url: str) -> None:
    migrate.up(url)
