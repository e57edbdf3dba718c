"""How a database is used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from ratchet.persistence.transaction import DialectName

_DIALECTS: dict[str, DialectName] = {"postgresql": "postgresql", "postgres": "postgresql", "sqlite": "sqlite"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseOptions:
    """url: `postgresql://…` or `sqlite:///file`. replica_url: of a read replica, PostgreSQL only. Times in seconds.

    pool_size: connections of the hot paths; report_pool_size: those of lists and reports besides.
    lock_timeout: longest wait for a row lock (PostgreSQL) or for the file (SQLite: busy_timeout).
    commit_timeout: after it a COMMIT is in doubt. retry_total: no further try of a transaction begins after it.
    """

    url: str
    replica_url: str | None = None
    pool_size: int = 8
    report_pool_size: int = 2
    pool_timeout_seconds: float = 2.0
    pool_recycle_seconds: float = 300.0
    connect_timeout_seconds: float = 5.0
    statement_timeout_seconds: float = 5.0
    lock_timeout_seconds: float = 2.0
    busy_timeout_seconds: float = 5.0
    idle_in_transaction_timeout_seconds: float = 10.0
    commit_timeout_seconds: float = 10.0
    tries: int = 5
    retry_base_seconds: float = 0.02
    retry_total_seconds: float = 7.0
    application_name: str = "ratchet"

    @property
    def dialect(self) -> DialectName:
        """Raises ValueError for a URL of neither database."""
        return dialect_of(self.url)

    @property
    def dsn(self) -> str:
        """The URL as PostgreSQL's own libraries read it, without the name of a driver."""
        return f"postgresql://{self.url.partition('://')[2]}"

    @property
    def file(self) -> Path:
        """The file of a SQLite database. Raises ValueError for a database in memory: its readers would see nothing."""
        name = make_url(self.url).database
        if not name or name == ":memory:":
            raise ValueError("a SQLite database needs a file: sqlite:///path")
        return Path(name)


def dialect_of(url: str) -> DialectName:
    """Return which database a URL names. Raises ValueError for any but PostgreSQL and SQLite."""
    scheme = url.partition("://")[0].partition("+")[0]
    if scheme not in _DIALECTS:
        raise ValueError(f"the database URL must begin with postgresql:// or sqlite:///, not {scheme}://")
    return _DIALECTS[scheme]
