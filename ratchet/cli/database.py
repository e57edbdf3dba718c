"""Opens the database for a command that works on it directly."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from ratchet.bootstrap import arm_for_tests, options_of
from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed
from ratchet.config import load_settings
from ratchet.persistence import migrate
from ratchet.persistence.database import Database
from ratchet.persistence.errors import PersistenceError

T = TypeVar("T")


def with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` on the database that the settings name. Raises CommandFailed."""
    try:
        return asyncio.run(_run(work))
    except PersistenceError as error:
        raise CommandFailed(f"the database: {error}", Exit.UNREACHABLE) from error


def person() -> str:
    """Return who gives this command, for the journal."""
    return f"cli:{getpass.getuser()}"[:64]


def check_schema(url: str) -> None:
    """Raise CommandFailed unless the database has the schema that this program knows."""
    try:
        status = migrate.check(url)
    except PersistenceError as error:
        raise CommandFailed(f"the database: {error}", Exit.UNREACHABLE) from error
    if not status.ok:
        raise CommandFailed(
            f"the database is at revision {status.current or 'none'}, not {status.head}: `ratchet migrate up`",
            Exit.UNREACHABLE,
        )


@asynccontextmanager
async def _open() -> AsyncIterator[Database]:
    settings = load_settings(require_tokens=False)
    arm_for_tests(settings)
    await asyncio.to_thread(check_schema, settings.database_address)
    db = Database(options_of(settings, role="cli"))
    await db.open()
    try:
        yield db
    finally:
        await db.close()


async def _run(work: Callable[[Database], Awaitable[T]]) -> T:
    async with _open() as db:
        return await work(db)
