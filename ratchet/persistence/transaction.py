"""The transaction that statement modules are handed: one API over every driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.sql.elements import ClauseElement

from ratchet.persistence.errors import PersistenceError, StatementFailed, translate
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


class Transaction(ABC):
    """Statements of one transaction. It stays with one task, and ends with the block that opened it.

    Every method raises PersistenceError kinds: DatabaseUnavailable, TransientConflict, ConstraintViolation,
    StatementFailed. After any of them the transaction is lost and its block must be left.
    """

    dialect: DialectName
    connection_id: int
    """The server's process id of the connection; 0 where there is none."""
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
