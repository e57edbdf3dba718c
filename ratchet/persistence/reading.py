"""Transactions over SQLAlchemy's own connections: lists, reports and audits, where convenience is worth its price."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.elements import ClauseElement

from ratchet.persistence.errors import DRIVER_ERRORS, StatementFailed, translate
from ratchet.persistence.statements import Row
from ratchet.persistence.transaction import DialectName, Transaction

CLOSING_SECONDS = 3.0
"""Longest wait for a connection that is rolled back or closed; its end undoes what it had begun in any case."""


@asynccontextmanager
async def connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Lend a connection of the engine. Raises our own errors for connecting; the block's own pass unchanged."""
    try:
        connection = await engine.connect()
    except DRIVER_ERRORS as error:
        raise translate(error) from error
    try:
        yield connection
    finally:
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await connection.close()
        except DRIVER_ERRORS:
            pass  # the work has ended one way or the other; SQLAlchemy's pool has dropped the connection


class ReadTransaction(Transaction):
    """One snapshot of the database, for reading only."""

    def __init__(self, connection: AsyncConnection, dialect: DialectName) -> None:
        super().__init__()
        self.dialect = dialect
        self.connection_id = 0
        self._connection = connection

    async def begin(self, command: Executable) -> None:
        """Open the snapshot. Raises DatabaseUnavailable."""
        try:
            await self._connection.execute(command)
        except DRIVER_ERRORS as error:
            raise translate(error) from error

    async def many(self, statement: ClauseElement, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Raises StatementFailed: nothing is written here."""
        raise StatementFailed("this transaction only reads")

    async def many_returning(self, statement: ClauseElement, rows: Sequence[Mapping[str, Any]], /) -> list[Row]:
        """Return the rows of one execution after the other."""
        return [row for parameters in rows for row in await self._fetch(statement, parameters)]

    async def _fetch(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> list[Row]:
        if not isinstance(statement, Executable):
            raise StatementFailed(f"not a statement: {statement!r}")
        try:
            result = await self._connection.execute(statement, dict(parameters))
        except DRIVER_ERRORS as error:
            raise translate(error) from error
        return [dict(row) for row in result.mappings()]

    async def _affect(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> int:
        raise StatementFailed("this transaction only reads")
