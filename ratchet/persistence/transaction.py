"""The transaction that statement modules are handed: one API over every driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.sql.elements import ClauseElement

from ratchet.persistence.errors import PersistenceError, StaleRow, StatementFailed, translate
from ratchet.persistence.statements import Row as Row
from ratchet.persistence.types import db_now

DialectName = Literal["postgresql", "sqlite"]
Hook = Callable[[], Awaitable[None]]

_NOW = select(db_now().label("now"))


@dataclass(frozen=True, slots=True)
class Hooks:
    """Where tests step in. before_commit: right before COMMIT is sent; commit_in_doubt: right after it has returned.

    A ConnectionError raised by a hook is a connection that broke at that moment.
    """

    before_commit: Hook | None = None
    commit_in_doubt: Hook | None = None


NO_HOOKS = Hooks()


@dataclass(frozen=True, slots=True)
class Write:
    """One change, to be sent with others. exactly_one: it must change one row; else it may change any number."""

    statement: ClauseElement
    parameters: Mapping[str, Any]
    exactly_one: bool = True


class Transaction(ABC):
    """Statements of one transaction. It stays with one task, and ends with the block that opened it.

    Every method raises PersistenceError kinds: DatabaseUnavailable, TransientConflict, ConstraintViolation,
    StatementFailed. After any of them the transaction is lost and its block must be left.
    """

    dialect: DialectName
    connection_id: int
    """The server's process id of the connection; 0 where there is none."""
    at_once: bool = False
    """Whether `change` makes its changes in one statement, which sees nothing of them, or one after the other."""
    replication_doubt: bool = False
    """Known after the block: the commit stands here, but the wait for its standby was cancelled."""
    failure: PersistenceError | None = None
    """What lost the transaction, if a statement failed."""

    def __init__(self) -> None:
        self.after_commit: list[Callable[[], None]] = []
        """Called in order once the commit has returned."""

    async def all(self, statement: ClauseElement, /, **parameters: Any) -> list[Row]:
        """Return every row."""
        return await self._fetch(statement, parameters)

    async def first(self, statement: ClauseElement, /, **parameters: Any) -> Row | None:
        """Return the first row, or None."""
        rows = await self._fetch(statement, parameters)
        return rows[0] if rows else None

    async def one(self, statement: ClauseElement, /, **parameters: Any) -> Row:
        """Return the only row. Raises StatementFailed if there is none, or more than one."""
        rows = await self._fetch(statement, parameters)
        if len(rows) != 1:
            raise StatementFailed(f"{len(rows)} rows where exactly one was expected: {statement}")
        return rows[0]

    async def count(self, statement: ClauseElement, /, **parameters: Any) -> int:
        """Execute and return how many rows were affected."""
        return await self._affect(statement, parameters)

    async def change(self, *writes: Write) -> None:
        """Make every change, on a server in one round trip.

        No two may touch the same row, and none may need to see another one done, or not done: see `at_once`.
        Raises StaleRow if one that must change a row did not, after which the transaction must be left.
        """
        counts = await self._change(writes)
        for write, count in zip(writes, counts, strict=True):
            if write.exactly_one and count != 1:
                self.failure = StaleRow(f"{count} rows changed where one was to: {write.statement}")
                raise self.failure

    async def now(self) -> datetime:
        """Return the database's clock, aware, in UTC."""
        at: datetime = (await self.one(_NOW))["now"]
        return at

    def refuse_after_failure(self) -> None:
        """Raise StatementFailed if a statement has failed: PostgreSQL would roll back, SQLite would keep the rest."""
        if self.failure is not None:
            raise StatementFailed(f"COMMIT after a statement had failed: {self.failure}") from self.failure

    def _failed(self, error: BaseException) -> PersistenceError:
        self.failure = translate(error)
        return self.failure

    @abstractmethod
    async def many(self, statement: ClauseElement, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Execute once for each mapping of parameters, without waiting between them where the driver can."""

    @abstractmethod
    async def many_returning(self, statement: ClauseElement, rows: Sequence[Mapping[str, Any]], /) -> list[Row]:
        """Execute once for each mapping, in order, and return all rows that came back."""

    @abstractmethod
    async def _fetch(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> list[Row]: ...

    @abstractmethod
    async def _affect(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> int: ...

    async def _change(self, writes: Sequence[Write]) -> list[int]:
        """Make the changes and return how many rows each changed."""
        return [await self._affect(write.statement, write.parameters) for write in writes]
