"""PostgreSQL: transactions over the raw pool, reports over SQLAlchemy's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from sqlalchemy import String, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import asyncpg as dialect_module
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ratchet.clock import Clock
from ratchet.persistence.errors import (
    DRIVER_ERRORS,
    READ_ONLY,
    CommitInDoubt,
    DatabaseUnavailable,
    NoPrimary,
    PersistenceError,
)
from ratchet.persistence.hot.connections import ConnectionPool, connect
from ratchet.persistence.hot.listening import Callback, Listener
from ratchet.persistence.hot.replica import ANSWER_SECONDS, POOL_SECONDS, Replica
from ratchet.persistence.hot.transaction import RawTransaction
from ratchet.persistence.options import DatabaseOptions
from ratchet.persistence.reading import ReadTransaction, connected
from ratchet.persistence.statements import Statements
from ratchet.persistence.transaction import DialectName, Hooks, Transaction

_NOTIFY = select(func.pg_notify(bindparam("channel", type_=String), bindparam("payload", type_=String)))
_DISPOSE_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 1
"""A report's connection to a server that takes no writes is kept no longer, so that a new primary is found."""
_READ_ONLY_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


class PostgresBackend:
    """One process's use of one PostgreSQL."""

    dialect: DialectName = "postgresql"

    def __init__(self, options: DatabaseOptions, clock: Clock) -> None:
        self._options = options
        self._statements = Statements(dialect_module.dialect())  # type: ignore[no-untyped-call]
        self._pool = ConnectionPool(lambda: connect(options, steady_plans=True), options, clock)
        self._listener = Listener(options, clock)
        self._engine = _report_engine(options, any_server=False, recycle_seconds=int(options.pool_recycle_seconds))
        self._any_engine = _report_engine(options, any_server=True, recycle_seconds=_LOOK_AGAIN_SECONDS)
        self._replica = _replica(options, clock)

    @property
    def in_use(self) -> int:
        """Connections of the hot paths that are handed out now."""
        return self._pool.in_use

    @property
    def waiting(self) -> int:
        """Tasks that wait for a connection."""
        return self._pool.waiting

    def listen(self, channel: str, callback: Callback) -> None:
        """Call back with the payload of each notice on a channel."""
        self._listener.add(channel, callback)

    async def notify(self, tx: Transaction, channel: str, payload: str) -> None:
        """Tell the listeners of a channel once `tx` has committed."""
        await tx.all(_NOTIFY, channel=channel, payload=payload)

    async def open(self) -> None:
        """Prove that the database can be reached. Raises DatabaseUnavailable."""
        member = await self._pool.acquire()
        self._pool.release(member, broken=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._listener.close()
        await self._pool.close()
        await self._engine.dispose()
        await self._any_engine.dispose()
        if self._replica is not None:
            await self._replica.close()

    @asynccontextmanager
    async def transaction(self, hooks: Hooks) -> AsyncIterator[Transaction]:
        """Open a READ COMMITTED transaction; commit at the end of the block, roll back on any exception."""
        member = await self._pool.acquire()
        tx = RawTransaction(member, self._statements)
        try:
            await tx.begin()
            yield tx
            await self._end(tx, hooks)
        except BaseException as error:
            await tx.roll_back()
            await self._renew_after(error)
            raise
        finally:
            self._pool.release(member, broken=tx.broken)

    @asynccontextmanager
    async def single(self) -> AsyncIterator[Transaction]:
        """Hand out a connection on which each statement is its own transaction."""
        member = await self._pool.acquire()
        tx = RawTransaction(member, self._statements)
        try:
            yield tx
        except asyncio.CancelledError:
            tx.broken = True  # its statement may still be under way
            raise
        except BaseException as error:
            await self._renew_after(error)
            raise
        finally:
            self._pool.release(member, broken=tx.broken)

    @asynccontextmanager
    async def reading(self, *, stale: bool) -> AsyncIterator[Transaction]:
        """Open a read-only transaction that sees one snapshot: of the primary, or of what there is without one.

        stale: of the replica, if there is one that answers.
        """
        async with AsyncExitStack() as stack:
            tx = await self._replica.read(stack, self._snapshot) if stale and self._replica is not None else None
            if tx is None:
                try:
                    tx = await self._snapshot(stack, self._engine)
                except NoPrimary:
                    tx = await self._snapshot(stack, self._any_engine)
            yield tx

    async def _snapshot(self, stack: AsyncExitStack, engine: AsyncEngine) -> Transaction:
        tx = ReadTransaction(await stack.enter_async_context(connected(engine)), self.dialect)
        await tx.begin(_READ_ONLY_SNAPSHOT)
        return tx

    async def _end(self, tx: RawTransaction, hooks: Hooks) -> None:
        if hooks.before_commit is not None:
            try:
                await hooks.before_commit()
            except ConnectionError as error:
                tx.broken = True
                raise DatabaseUnavailable(f"connection lost before COMMIT: {error}") from error
        await tx.commit(self._options.commit_timeout_seconds)
        if hooks.commit_in_doubt is not None:
            try:
                await hooks.commit_in_doubt()
            except ConnectionError as error:
                tx.broken = True
                raise CommitInDoubt(f"no answer to COMMIT: {error}") from error

    async def _renew_after(self, error: BaseException) -> None:
        # A primary that became a standby answers reads as before: none of its connections may be kept.
        if isinstance(error, PersistenceError) and error.sqlstate == READ_ONLY:
            self._pool.renew()
            try:
                async with asyncio.timeout(_DISPOSE_SECONDS):
                    await self._engine.dispose()
            except DRIVER_ERRORS:
                pass  # the idle connections were dead already; the engine has a new pool all the same


def _replica(options: DatabaseOptions, clock: Clock) -> Replica | None:
    if options.replica_url is None:
        return None
    there = replace(
        options,
        url=options.replica_url,
        connect_timeout_seconds=min(ANSWER_SECONDS, options.connect_timeout_seconds),
        pool_timeout_seconds=min(POOL_SECONDS, options.pool_timeout_seconds),
    )
    recycle_seconds = int(options.pool_recycle_seconds)
    return Replica(_report_engine(there, any_server=True, recycle_seconds=recycle_seconds), clock)


def _report_engine(options: DatabaseOptions, *, any_server: bool, recycle_seconds: int) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect(options, any_server=any_server),
        pool_size=options.report_pool_size,
        max_overflow=0,
        hide_parameters=True,
        pool_timeout=options.pool_timeout_seconds,
        pool_recycle=recycle_seconds,
    )
