"""A transaction straight over asyncpg: BEGIN and COMMIT are plain commands, and nothing retries by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.sql.elements import ClauseElement

from ratchet.persistence.errors import DRIVER_ERRORS, PersistenceError, StatementFailed, translate_commit
from ratchet.persistence.hot.connections import Member
from ratchet.persistence.statements import Row, Statements
from ratchet.persistence.transaction import Transaction, Write

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_ROLLBACK_SECONDS = 1.0


class RawTransaction(Transaction):
    """One READ COMMITTED transaction on one connection of the pool."""

    dialect = "postgresql"
    at_once = True

    def __init__(self, member: Member, statements: Statements) -> None:
        super().__init__()
        self._member = member
        self._connection = member.connection
        self._statements = statements
        self._open = False
        self.broken = False
        """Whether the connection must be cut off."""
        self.connection_id = self._connection.get_server_pid()

    async def begin(self) -> None:
        """Open it. Raises DatabaseUnavailable."""
        self._open = True
        try:
            await self._connection.execute(_BEGIN)
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error

    async def commit(self, timeout_seconds: float) -> None:
        """Commit. Raises CommitInDoubt, TransientConflict, ConstraintViolation, DatabaseUnavailable."""
        self.refuse_after_failure()
        self._member.warned = False
        self.broken = True  # until COMMIT has answered: an interrupted one leaves a connection in an unknown state
        try:
            tag = await self._connection.execute("COMMIT", timeout=timeout_seconds)
        except DRIVER_ERRORS as error:
            raise translate_commit(error) from error
        self.broken = self._open = False
        if tag != "COMMIT":
            raise StatementFailed("COMMIT of a transaction in which a statement had failed: it was rolled back")
        self.replication_doubt = self._member.warned

    async def roll_back(self) -> None:
        """Undo; where that cannot be said to have happened, the connection is given up and the server undoes it."""
        if not self._open or self.broken:
            return
        self.broken = True
        try:
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                await self._connection.execute("ROLLBACK")
        except DRIVER_ERRORS:
            return
        self.broken = self._open = False

    async def many(self, statement: ClauseElement, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Execute once for each mapping of parameters, in one pipeline."""
        if rows:
            plan = self._statements.plan(statement, rows[0])
            sql, _ = plan.bind(rows[0])
            try:
                await self._connection.executemany(sql, [plan.bind(row)[1] for row in rows])
            except DRIVER_ERRORS as error:
                raise self._failed(error) from error

    async def many_returning(self, statement: ClauseElement, rows: Sequence[Mapping[str, Any]], /) -> list[Row]:
        """Execute once for each mapping, in one pipeline, and return all rows that came back, in order."""
        if not rows:
            return []
        plan = self._statements.plan(statement, rows[0])
        sql, _ = plan.bind(rows[0])
        try:
            return plan.rows(await self._connection.fetchmany(sql, [plan.bind(row)[1] for row in rows]))
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error

    async def _fetch(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> list[Row]:
        plan = self._statements.plan(statement, parameters)
        sql, arguments = plan.bind(parameters)
        try:
            return plan.rows(await self._connection.fetch(sql, *arguments))
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error

    async def _affect(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> int:
        sql, arguments = self._statements.plan(statement, parameters).bind(parameters)
        try:
            tag: str = await self._connection.execute(sql, *arguments)
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error
        last = tag.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0

    async def _change(self, writes: Sequence[Write]) -> list[int]:
        if len(writes) < 2:
            return await super()._change(writes)
        bound = [self._statements.plan(write.statement, write.parameters).bind(write.parameters) for write in writes]
        sql = self._statements.joined(tuple(sql for sql, _ in bound))
        try:
            row = await self._connection.fetchrow(sql, *(value for _, values in bound for value in values))
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error
        return [int(count) for count in row]

    def _failed(self, error: BaseException) -> PersistenceError:
        failure = super()._failed(error)
        self.broken = self.broken or getattr(failure, "connection_lost", False)
        return failure
