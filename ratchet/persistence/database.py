"""The database as the rest of the project sees it: open it, run work in transactions, read, be woken."""

from __future__ import annotations

import copy
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Self, TypeVar

from ratchet.clock import Clock, SystemClock
from ratchet.persistence.errors import DatabaseUnavailable, PersistenceError
from ratchet.persistence.hot.backend import PostgresBackend
from ratchet.persistence.options import DatabaseOptions as DatabaseOptions
from ratchet.persistence.transaction import DialectName, Hook, Hooks, Transaction

if TYPE_CHECKING:
    from ratchet.persistence.embedded import SqliteBackend

T = TypeVar("T")
Work = Callable[[Transaction], Awaitable[T]]
Observe = Callable[[str, float, str], None]
"""Told of each transaction: its name, its seconds, and its outcome (`ok` or an error's `outcome`)."""
Guard = Callable[[str, Transaction], Awaitable[None]]
"""Asked first in each transaction, by its name; what it raises rolls the transaction back."""


def _ignore(name: str, seconds: float, outcome: str) -> None:
    """Observe nothing."""


class Database:
    """PostgreSQL or SQLite, behind one API. Open it before use and close it at the end, in the same event loop."""

    def __init__(self, options: DatabaseOptions, *, clock: Clock | None = None, observe: Observe = _ignore) -> None:
        self.options = options
        self.dialect: DialectName = options.dialect
        self._clock = clock or SystemClock()
        self._closed = False
        self._observe = observe
        self._guard: Guard | None = None
        self._backend = self._chosen()

    def behind(self, guard: Guard) -> Self:
        """Return the same database, on the same connections, where every transaction that may write asks `guard` first.

        A statement that would commit by itself is a transaction there, so that nothing gets round the guard.
        """
        guarded = copy.copy(self)
        guarded._guard = guard
        return guarded

    def _chosen(self) -> PostgresBackend | SqliteBackend:
        if self.dialect == "postgresql":
            return PostgresBackend(self.options, self._clock)
        from ratchet.persistence.embedded import SqliteBackend  # its driver weighs megabytes, elsewhere in vain

        return SqliteBackend(self.options)

    async def open(self) -> None:
        """Prove that the database can be reached. Raises DatabaseUnavailable; may be tried again."""
        await self._backend.open()

    async def close(self) -> None:
        """Close every connection; those in use are cut off. What begins later raises DatabaseUnavailable."""
        self._closed = True
        await self._backend.close()

    @asynccontextmanager
    async def transaction(
        self,
        *,
        name: str = "transaction",
        before_commit: Hook | None = None,
        commit_in_doubt: Hook | None = None,
    ) -> AsyncIterator[Transaction]:
        """Open one READ COMMITTED transaction: committed at the end of the block, rolled back on any exception.

        Raises DatabaseUnavailable, TransientConflict (nothing was committed), CommitInDoubt.
        """
        async with self._measured(name, self._backend.transaction(Hooks(before_commit, commit_in_doubt))) as tx:
            if self._guard is not None:
                await self._guard(name, tx)
            yield tx

    @asynccontextmanager
    async def single(self, *, name: str) -> AsyncIterator[Transaction]:
        """Hand out a connection on which each statement commits by itself: no BEGIN, no COMMIT, one round trip.

        For statements that may be repeated. A lost connection leaves the statement in doubt.
        """
        if self._guard is not None:
            async with self.transaction(name=name) as tx:
                yield tx
            return
        async with self._measured(name, self._backend.single()) as tx:
            yield tx

    @asynccontextmanager
    async def reading(self, *, name: str = "read", stale: bool = False) -> AsyncIterator[Transaction]:
        """Open a read-only transaction on one snapshot (REPEATABLE READ), for lists and reports; decides nothing.

        stale: what a read replica shows will do, if there is one.
        """
        async with self._measured(name, self._backend.reading(stale=stale)) as tx:
            yield tx

    async def run(
        self,
        work: Work[T],
        *,
        name: str,
        before_commit: Hook | None = None,
        commit_in_doubt: Hook | None = None,
    ) -> T:
        """Run idempotent work in a transaction, again after a conflict, a lost connection or a commit in doubt.

        At most `tries` times, pauses with full jitter doubling from `retry_base_seconds`, none begun after
        `retry_total_seconds`. Raises the last error. Source: docs/protocol.md, section 4.
        """
        deadline = self._clock.monotonic() + self.options.retry_total_seconds
        tried = 0
        while True:
            tried += 1
            try:
                async with self.transaction(
                    name=name, before_commit=before_commit, commit_in_doubt=commit_in_doubt
                ) as tx:
                    result = await work(tx)
                return result
            except PersistenceError as error:
                pause = random.uniform(0, self.options.retry_base_seconds * 2 ** (tried - 1))
                late = self._clock.monotonic() + pause >= deadline
                if not error.retryable or tried >= self.options.tries or late:
                    raise
            await self._clock.sleep(pause)

    @property
    def in_use(self) -> int:
        """Connections that are handed out now (SQLite: 1 while somebody writes)."""
        return self._backend.in_use

    @property
    def waiting(self) -> int:
        """Tasks that wait for one."""
        return self._backend.waiting

    def listen(self, channel: str, callback: Callable[[str], None]) -> None:
        """Call back with the payload of each notice on a channel, and with "" after a gap in which some may be lost.

        It returns at once and goes on until the database is closed. On SQLite it hears this process only.
        """
        self._backend.listen(channel, callback)

    async def notify(self, tx: Transaction, channel: str, payload: str = "") -> None:
        """Tell the listeners of a channel once `tx` has committed. Once for a batch: each such commit takes a lock."""
        await self._backend.notify(tx, channel, payload)

    @asynccontextmanager
    async def _measured(self, name: str, inner: AbstractAsyncContextManager[Transaction]) -> AsyncIterator[Transaction]:
        started = self._clock.monotonic()
        outcome = "error"
        try:
            if self._closed:
                raise DatabaseUnavailable("the database is closed", connection_lost=False)
            async with inner as tx:
                yield tx
            outcome = "ok"
            for call in tx.after_commit:
                call()
        except PersistenceError as error:
            outcome = error.outcome
            raise
        finally:
            self._observe(name, self._clock.monotonic() - started, outcome)
