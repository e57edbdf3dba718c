"""What can go wrong between us and the database, in the project's own words.

    PersistenceError
     ├── DatabaseUnavailable     no connection, a lost one, none free in time, no writes, a full disk
     ├── CommitInDoubt           COMMIT was sent and its answer never came: it happened or it did not
     ├── TransientConflict       serialization failure, deadlock, lock or statement time-out: may be run again
     │    └── StaleRow           a row that was to change is not as it was read
     ├── ConstraintViolation     a constraint or trigger refused the row
     │    ├── UniqueViolation
     │    └── CheckViolation     a CHECK, or a transition that the trigger of a state column does not allow
     └── StatementFailed         a mistake in a statement or in its parameters

The driver's error is kept as the cause.
"""

from __future__ import annotations

import sqlite3
from functools import cache

import asyncpg
import sqlalchemy.exc
from sqlalchemy import Index, UniqueConstraint

from ratchet.persistence.report_tables import metadata

READ_ONLY = "25006"
DISK_FULL = "53100"
_CONFLICTS = frozenset({"40001", "40P01", "55P03", "57014"})
_SERVER_GOING = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05"})
_COMPLETION_UNKNOWN = "40003"
_IDLE_IN_TRANSACTION = "25P03"
_UNAVAILABLE_CLASSES = ("08", "53", "58")

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError and ConnectionError are among its kinds
    sqlalchemy.exc.SQLAlchemyError,
    sqlite3.Error,
)
"""What a driver may raise for a statement."""


class PersistenceError(Exception):
    """Any failure of the database or of a statement. sqlstate: five characters where the server gave one."""

    outcome = "error"
    retryable = False

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class DatabaseUnavailable(PersistenceError):
    """Nothing was committed, and the database cannot be used now. disk_full: it has no room for another row.

    connection_lost: the connection that was in use must not be used again.
    """

    outcome = "unavailable"
    retryable = True

    def __init__(
        self, message: str, *, sqlstate: str | None = None, disk_full: bool = False, connection_lost: bool = True
    ) -> None:
        super().__init__(message, sqlstate=sqlstate)
        self.disk_full = disk_full
        self.connection_lost = connection_lost


class PoolExhausted(DatabaseUnavailable):
    """Every connection stayed in use for the whole of the waiting time."""

    outcome = "pool_exhausted"


class NoPrimary(DatabaseUnavailable):
    """A server answers, but takes no writes: a standby, or one that was switched to read-only."""

    outcome = "no_primary"


class CommitInDoubt(PersistenceError):
    """The transaction may or may not be committed: read back, or run the same idempotent work again."""

    outcome = "in_doubt"
    retryable = True


class TransientConflict(PersistenceError):
    """The transaction was rolled back because of others; the same work may be run again."""

    outcome = "conflict"
    retryable = True


class StaleRow(TransientConflict):
    """A row that was to change had been changed by others since it was read."""


class ConstraintViolation(PersistenceError):
    """A row was refused. constraint: its name in the schema, the same on both databases."""

    outcome = "refused"

    def __init__(self, constraint: str, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message, sqlstate=sqlstate)
        self.constraint = constraint


class UniqueViolation(ConstraintViolation):
    """Another row has the same key."""


class CheckViolation(ConstraintViolation):
    """A value, or a change of state, that the schema does not allow."""


class StatementFailed(PersistenceError):
    """The statement or its parameters are wrong, or the transaction had failed before; a mistake of ours."""


def translate(error: BaseException) -> PersistenceError:
    """Return our own error for a driver's error that came from anything but COMMIT."""
    if isinstance(error, PersistenceError):
        return error
    if isinstance(error, sqlalchemy.exc.SQLAlchemyError):
        return _from_sqlalchemy(error)
    if isinstance(error, sqlite3.Error):
        return _from_sqlite(error)
    if isinstance(error, asyncpg.PostgresError):
        return _from_postgres(error)
    if isinstance(error, TimeoutError):
        return DatabaseUnavailable("the database did not answer in time")
    return DatabaseUnavailable(f"no connection to the database: {type(error).__name__}: {error}")


def translate_commit(error: BaseException) -> PersistenceError:
    """Return our own error for a driver's error that came from COMMIT.

    An ERROR in answer to COMMIT proves that it did not happen; a lost connection or a missing answer proves nothing.
    """
    plain = translate(error)
    lost = isinstance(plain, DatabaseUnavailable) and plain.connection_lost
    if lost or plain.sqlstate == _COMPLETION_UNKNOWN:
        return CommitInDoubt(f"no answer to COMMIT: {plain}", sqlstate=plain.sqlstate)
    return plain


def _from_postgres(error: asyncpg.PostgresError) -> PersistenceError:
    state = str(error.sqlstate or "")
    message = f"{error} (SQLSTATE {state})"
    name = getattr(error, "constraint_name", None) or getattr(error, "column_name", None) or ""
    if state in _CONFLICTS or isinstance(error, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError):
        return TransientConflict(message, sqlstate=state)
    if state == "23505":
        return UniqueViolation(name, message, sqlstate=state)
    if state == "23514":
        return CheckViolation(name, message, sqlstate=state)
    if state.startswith("23"):
        return ConstraintViolation(name, message, sqlstate=state)
    if state == DISK_FULL:
        return DatabaseUnavailable(message, sqlstate=state, disk_full=True, connection_lost=False)
    if state in _SERVER_GOING or state in (READ_ONLY, _IDLE_IN_TRANSACTION) or state.startswith(_UNAVAILABLE_CLASSES):
        return DatabaseUnavailable(message, sqlstate=state, connection_lost=not state.startswith("53"))
    return StatementFailed(message, sqlstate=state or None)


def _from_sqlalchemy(error: sqlalchemy.exc.SQLAlchemyError) -> PersistenceError:
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return PoolExhausted("no free connection in time", connection_lost=False)
    cause = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else None
    if isinstance(cause, sqlite3.Error):
        return _from_sqlite(cause)
    driver = cause.__cause__ if cause is not None else None  # SQLAlchemy wraps asyncpg's errors once more
    if isinstance(driver, DRIVER_ERRORS):
        return translate(driver)
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.connection_invalidated:
        return DatabaseUnavailable(f"the connection was lost: {error}")
    return StatementFailed(str(error))


def _from_sqlite(error: sqlite3.Error) -> PersistenceError:
    name = str(getattr(error, "sqlite_errorname", None) or "")
    message = f"{error} ({name})"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return TransientConflict(message)
    if name in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"):
        return UniqueViolation(_unique_name(str(error)), message)
    if name in ("SQLITE_CONSTRAINT_CHECK", "SQLITE_CONSTRAINT_TRIGGER"):
        return CheckViolation(_after_colon(str(error)), message)
    if name.startswith("SQLITE_CONSTRAINT"):
        return ConstraintViolation(_after_colon(str(error)), message)
    if name.startswith("SQLITE_FULL"):
        return DatabaseUnavailable(message, disk_full=True, connection_lost=False)
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return DatabaseUnavailable(message)
    return StatementFailed(message)


def _after_colon(message: str) -> str:
    return message.rpartition(": ")[2]


@cache
def _unique_names() -> dict[frozenset[str], str]:
    """Return the name of each unique constraint and index by its columns: SQLite reports only the columns."""
    names: dict[frozenset[str], str] = {}
    for table in metadata.tables.values():
        keys: list[UniqueConstraint | Index] = [i for i in table.indexes if i.unique]
        keys += [c for c in table.constraints if isinstance(c, UniqueConstraint)]
        for key in keys:
            names[frozenset(f"{table.name}.{column.name}" for column in key.columns)] = str(key.name)
        names[frozenset(f"{table.name}.{c.name}" for c in table.primary_key.columns)] = f"pk_{table.name}"
    return names


def _unique_name(message: str) -> str:
    columns = _after_colon(message)
    return _unique_names().get(frozenset(columns.split(", ")), columns)
