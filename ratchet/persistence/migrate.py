"""Bring a database to a revision of the schema, back to an earlier one, or say where it is.

Each call is one transaction: the database has all of the revisions asked for, or none. On PostgreSQL an advisory lock
makes processes that start together take turns; the second one finds nothing to do.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy.exc
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text

from ratchet.clock import SystemClock
from ratchet.persistence.errors import DatabaseUnavailable
from ratchet.persistence.options import dialect_of
from ratchet.persistence.revision import serves

LOCK_KEY = 0x52415443_48455400
"""The advisory lock of whoever migrates: the letters RATCHET."""

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK_SECONDS = 60
_CONNECT_SECONDS = 5
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Status:
    """current: the database's revision, None if it has no schema. head: the newest one that this program knows.

    ok: this program can work with it: it is at the head, or newer.
    """

    current: str | None
    head: str

    @property
    def ok(self) -> bool:
        """Whether the database is at the head, or at a revision of a later release."""
        return serves(self.current)


class UnknownRevision(ValueError):
    """This program knows no such revision, or there is no way to it from where the database is."""


def up(url: str, revision: str = "head", *, wait_seconds: float = 30.0) -> Status:
    """Upgrade to `revision`, after waiting at most `wait_seconds` for the database to answer.

    A database that a later release has migrated is left as it is: that release keeps this one working.
    Raises DatabaseUnavailable, UnknownRevision.
    """
    with _session(url, wait_seconds, write=True) as connection:
        found = _status(connection)
        if revision == "head" and found.ok:
            return found
        with _known(revision):
            command.upgrade(_config(connection), revision)
        return _status(connection)


def down(url: str, revision: str, *, wait_seconds: float = 30.0) -> Status:
    """Downgrade to `revision` (`base` removes everything). Raises as `up` does."""
    with _session(url, wait_seconds, write=True) as connection:
        with _known(revision):
            command.downgrade(_config(connection), revision)
        return _status(connection)


def check(url: str, *, wait_seconds: float = 0.0) -> Status:
    """Return where the database is; changes nothing. Raises DatabaseUnavailable."""
    with _session(url, wait_seconds, write=False) as connection:
        return _status(connection)


def head() -> str:
    """Return the newest revision that this program knows."""
    newest = ScriptDirectory.from_config(_config(None)).get_current_head()
    if newest is None:
        raise RuntimeError(f"no revisions in {_SCRIPTS}")
    return newest


@contextmanager
def _known(revision: str) -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise UnknownRevision(f"{revision}: {error}") from error


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _status(connection: Connection) -> Status:
    return Status(MigrationContext.configure(connection).get_current_revision(), head())


@contextmanager
def _session(url: str, wait_seconds: float, *, write: bool) -> Iterator[Connection]:
    engine = _engine(url)
    try:
        with _connect(engine, wait_seconds) as connection:
            postgresql = engine.dialect.name == "postgresql"
            if not postgresql:
                connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
            elif write:
                connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            try:
                yield connection
            except BaseException:
                _end(connection, "ROLLBACK")
                raise
            _end(connection, "COMMIT" if write else "ROLLBACK")
    except sqlalchemy.exc.OperationalError as error:
        raise DatabaseUnavailable(f"cannot migrate: {error.orig}") from error
    finally:
        engine.dispose()


def _end(connection: Connection, how: str) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(how)
    elif how == "COMMIT":
        connection.commit()
    else:
        connection.rollback()


def _engine(url: str) -> Engine:
    if dialect_of(url) == "sqlite":
        plain = make_url(url).set(drivername="sqlite+pysqlite")
        # BEGIN and COMMIT are ours: the driver's own would leave DDL outside the transaction.
        return create_engine(plain, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args={"timeout": 5.0})
    plain = make_url(url).set(drivername="postgresql+psycopg")
    return create_engine(
        plain,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": _CONNECT_SECONDS, "target_session_attrs": "read-write"},
    )


@contextmanager
def _connect(engine: Engine, wait_seconds: float) -> Iterator[Connection]:
    clock = SystemClock()
    deadline = clock.monotonic() + wait_seconds
    while True:
        try:
            connection = engine.connect()
            break
        except sqlalchemy.exc.OperationalError as error:
            if clock.monotonic() >= deadline:
                raise DatabaseUnavailable(f"cannot connect within {wait_seconds} s: {error.orig}") from error
        threading.Event().wait(_POLL_SECONDS)
    with connection:
        yield connection
