"""Where schedules play: servers and a nursery for many of them, a database and a broker for each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import yaml

from ratchet.bootstrap import open_runtime
from ratchet.config import Settings
from ratchet.config.portfolio import DEFAULT_FILE
from ratchet.persistence import migrate
from ratchet.runtime import Runtime
from tests.harness import Plant, Process
from tests.servers import PostgresServer, ValkeyServer
from tests.soak.nursery import Forked, Nursery
from tests.soak.schedule import DUE_DAYS

_LADDER = {"rung_seconds": 0.3, "rungs": 4, "option_rungs": 4}
"""Orders that do not fill give up within two seconds."""

_MIGRATING = threading.Lock()
"""Alembic keeps what it is doing in module variables."""


class Servers:
    """What many schedules share, for the time of the block."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self.postgres = self._stack.enter_context(PostgresServer())
        self.valkey = self._stack.enter_context(ValkeyServer())
        self.nursery = self._stack.enter_context(Nursery())
        with _MIGRATING:
            self.fresh_database()  # makes the template, of which later ones are copies
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fresh_database(self) -> str:
        """Return the address of a new database with our tables."""
        return self.postgres.create_migrated_database(_migrate)


class ForkedPlant(Plant):
    """A plant whose processes come from a nursery, on the portfolio of the soak."""

    def __init__(self, folder: Path, servers: Servers, **more: Any) -> None:
        super().__init__(folder, **more)
        self.servers = servers
        self._settings["PORTFOLIO_FILE"] = str(folder / "portfolio.yaml")

    @property
    def rolling_portfolio(self) -> Path:
        """The portfolio of leaders by whose rules every nearest contract has to be left."""
        return self.folder / "rolling.yaml"

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        rows = yaml.safe_load(DEFAULT_FILE.read_text())
        rows["ladder"] |= _LADDER
        (self.folder / "portfolio.yaml").write_text(yaml.safe_dump(rows))
        for instrument in rows["instruments"]:
            instrument["roll_days"] = DUE_DAYS
        self.rolling_portfolio.write_text(yaml.safe_dump(rows))
        return self

    def loaded(self, **more: Any) -> Settings:
        """Return settings for code of this process."""
        return super().loaded(portfolio_file=self.folder / "portfolio.yaml", **more)

    def _made(self, name: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> Process:
        made = Forked(name, arguments, environment, log=self.folder / f"{name}.log", watchdog=self._watchdog)
        made.nursery = self.servers.nursery
        return made


@asynccontextmanager
async def site(
    servers: Servers,
    folder: Path,
    *,
    load_accounts: int = 0,
    redis: bool = True,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[tuple[ForkedPlant, Runtime]]:
    """Open a plant with a fresh database and a running simulator, and a runtime of this process on the same.

    Sending is not open yet. After an error the database is left as it is: its server may be down.
    """
    url = await asyncio.to_thread(servers.fresh_database)
    async with AsyncExitStack() as stack:
        plant = await stack.enter_async_context(
            ForkedPlant(
                folder,
                servers,
                database_url=url,
                redis_url=servers.valkey.url if redis else None,
                load_accounts=load_accounts,
                settings=settings,
            )
        )
        await plant.start_simulator()
        loaded = plant.loaded(**_tree(settings or {}))
        rt = await stack.enter_async_context(open_runtime(loaded, role="cli"))
        await rt.db.open()
        yield plant, rt
    await asyncio.to_thread(servers.postgres.drop_database, url)


def _tree(settings: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return environment variables (SECTION__NAME) as the settings' tree."""
    tree = {"broker": {"kind": "simulator"}}
    for variable, value in settings.items():
        section, _, name = variable.lower().partition("__")
        tree.setdefault(section, {})[name] = value
    return tree


def _migrate(url: str) -> None:
    migrate.up(url)
