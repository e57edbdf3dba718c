"""SQLite: one file, one writer, the same transactions. Source: docs/protocol.md, section 10."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count
from typing import Any

import aiosqlite
from sqlalchemy import text
from sqlalchemy.dialects.sqlite import aiosqlite as dialect_module
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.elements import ClauseElement

from ratchet.persistence.errors import (
    DRIVER_ERRORS,
    CommitInDoubt,
    DatabaseUnavailable,
    PoolExhausted,
    translate,
    translate_commit,
)
from ratchet.persistence.options import DatabaseOptions
from ratchet.persistence.reading import CLOSING_SECONDS, ReadTransaction, connected
from ratchet.persistence.statements import Row, Statements
from ratchet.persistence.transaction import DialectName, Hooks, Transaction

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)


class SqliteTransaction(Transaction):
    """One BEGIN IMMEDIATE transaction of the only writer."""

    dialect = "sqlite"
    connection_id = 0

    def __init__(self, connection: AsyncConnection, statements: Statements) -> None:
        super().__init__()
        self._connection = connection
        self._statements = statements

    async def command(self, sql: str) -> None:
        """Execute BEGIN, COMMIT or ROLLBACK."""
        await self._connection.exec_driver_sql(sql)

    async def many(self, statement: ClauseElement, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Execute once for each mapping of parameters."""
        for row in rows:
            await self._affect(statement, row)

    async def many_returning(self, statement: ClauseElement, rows: Sequence[Mapping[str, Any]], /) -> list[Row]:
        """Execute once for each mapping, in order, and return all rows that came back."""
        return [row for parameters in rows for row in await self._fetch(statement, parameters)]

    async def _fetch(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> list[Row]:
        plan = self._statements.plan(statement, parameters)
        sql, arguments = plan.bind(parameters)
        try:
            result = await self._connection.exec_driver_sql(sql, tuple(arguments))
            return plan.rows(result.mappings()) if result.returns_rows else []
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error

    async def _affect(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> int:
        sql, arguments = self._statements.plan(statement, parameters).bind(parameters)
        try:
            result = await self._connection.exec_driver_sql(sql, tuple(arguments))
            return len(result.fetchall()) if result.returns_rows else max(0, result.rowcount)
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error


class SqliteBackend:
    """One process's use of one SQLite file."""

    dialect: DialectName = "sqlite"

    def __init__(self, options: DatabaseOptions) -> None:
        self._options = options
        self._statements = Statements(dialect_module.dialect())
        self._writer = asyncio.Lock()
        self._write_engine = self._engine(pool_size=1, read_only=False)
        self._read_engine = self._engine(pool_size=options.report_pool_size, read_only=True)
        self._callbacks: dict[str, list[Callable[[str], None]]] = {}
        self.waiting = 0
        """Tasks that wait to write."""

    @property
    def in_use(self) -> int:
        """1 while somebody writes."""
        return int(self._writer.locked())

    async def open(self) -> None:
        """Prove that the file can be opened. Raises DatabaseUnavailable."""
        async with self.reading(stale=False) as tx:
            await tx.now()

    async def close(self) -> None:
        """Close the file."""
        await self._write_engine.dispose()
        await self._read_engine.dispose()

    @asynccontextmanager
    async def transaction(self, hooks: Hooks) -> AsyncIterator[Transaction]:
        """Open the write transaction; commit at the end of the block, roll back on any exception."""
        await self._take_turn()
        try:
            async with connected(self._write_engine) as connection:
                tx = SqliteTransaction(connection, self._statements)
                await self._begin(tx)
                try:
                    yield tx
                    await _end(tx, hooks)
                except BaseException:
                    await _roll_back(connection)
                    raise
        finally:
            self._writer.release()

    @asynccontextmanager
    async def single(self) -> AsyncIterator[Transaction]:
        """As a transaction: SQLite has but one writer anyway."""
        async with self.transaction(Hooks()) as tx:
            yield tx

    @asynccontextmanager
    async def reading(self, *, stale: bool) -> AsyncIterator[Transaction]:
        """Open a transaction that sees one snapshot and waits for no writer. stale: there is one file only."""
        async with connected(self._read_engine) as connection:
            tx = ReadTransaction(connection, self.dialect)
            await tx.begin(text("BEGIN"))
            try:
                yield tx
            finally:
                await _roll_back(connection)

    def listen(self, channel: str, callback: Callable[[str], None]) -> None:
        """Call back with the payload of each notice of this process on a channel."""
        self._callbacks.setdefault(channel, []).append(callback)

    async def notify(self, tx: Transaction, channel: str, payload: str) -> None:
        """Tell the listeners of a channel in this process once `tx` has committed."""
        for callback in self._callbacks.get(channel, ()):
            tx.after_commit.append(partial(callback, payload))

    async def _take_turn(self) -> None:
        self.waiting += 1
        try:
            async with asyncio.timeout(self._options.busy_timeout_seconds):
                await self._writer.acquire()
        except TimeoutError as error:
            seconds = self._options.busy_timeout_seconds
            raise PoolExhausted(f"the writer stayed busy for {seconds} s", connection_lost=False) from error
        finally:
            self.waiting -= 1

    async def _begin(self, tx: SqliteTransaction) -> None:
        try:
            await tx.command("BEGIN IMMEDIATE")
        except DRIVER_ERRORS as error:
            raise translate(error) from error

    def _engine(self, *, pool_size: int, read_only: bool) -> AsyncEngine:
        pragmas = (*_PRAGMAS, "PRAGMA query_only = ON") if read_only else _PRAGMAS

        async def connect() -> aiosqlite.Connection:
            return await _connect(self._options, pragmas)

        return create_async_engine(
            self._options.url.replace("sqlite://", "sqlite+aiosqlite://", 1),
            async_creator=connect,
            isolation_level="AUTOCOMMIT",  # BEGIN and COMMIT are ours
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,
            pool_timeout=self._options.pool_timeout_seconds,
        )


async def _connect(options: DatabaseOptions, pragmas: Sequence[str]) -> aiosqlite.Connection:
    opening = aiosqlite.connect(options.file, timeout=options.busy_timeout_seconds, isolation_level=None)
    # A connection that nobody could close, such as one cancelled while it opened, must not keep the process alive.
    opening._thread.daemon = True
    _stop_once(opening)
    connection = await opening
    try:
        for pragma in pragmas:
            await connection.execute(pragma)
    except BaseException:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await connection.close()
        raise
    return connection


def _stop_once(connection: aiosqlite.Connection) -> None:
    """Let only the first stop wait for the driver's thread.

    A statement that is cancelled twice stops it twice, and the second one would wait for ever for a thread that has
    ended, and with it the end of the event loop.
    """
    stop, stops = connection.stop, count()
    connection.stop = lambda: None if next(stops) else stop()  # type: ignore[method-assign]


async def _end(tx: SqliteTransaction, hooks: Hooks) -> None:
    if hooks.before_commit is not None:
        try:
            await hooks.before_commit()
        except ConnectionError as error:
            raise DatabaseUnavailable(f"connection lost before COMMIT: {error}") from error
    tx.refuse_after_failure()
    try:
        await tx.command("COMMIT")
    except DRIVER_ERRORS as error:
        raise translate_commit(error) from error
    if hooks.commit_in_doubt is not None:
        try:
            await hooks.commit_in_doubt()
        except ConnectionError as error:
            raise CommitInDoubt(f"no answer to COMMIT: {error}") from error


async def _roll_back(connection: AsyncConnection) -> None:
    if connection.invalidated:  # a cancelled statement: the connection is closed, and its transaction with it
        return
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    if driver is None or not driver.in_transaction:
        return
    try:
        async with asyncio.timeout(CLOSING_SECONDS):
            await connection.exec_driver_sql("ROLLBACK")
    except DRIVER_ERRORS:  # TimeoutError is among them: the driver's thread may have ended without an answer
        await connection.invalidate()  # closing the file undoes it
