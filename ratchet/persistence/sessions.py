"""Sessions of PostgreSQL that stand in each other's way, and cutting one off. SQLite has none."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Integer, bindparam, text

from ratchet.persistence.transaction import Transaction

# Of those who queue for a row, each waits for the one before: the first of them is found once the others are gone.
_IN_THE_WAY = text(
    "SELECT other.pid, other.application_name AS name, other.usename AS role, other.usename = current_user AS ours,"
    " COALESCE(other.state, 'unknown') AS state"
    " FROM unnest(pg_blocking_pids(CAST(:pid AS integer))) AS blocking (pid)"
    " JOIN pg_stat_activity AS other ON other.pid = blocking.pid"
).bindparams(bindparam("pid", type_=Integer))
_END = text("SELECT pg_terminate_backend(CAST(:pid AS integer)) AS ended").bindparams(bindparam("pid", type_=Integer))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session. name: its application_name. ours: whether it is of our own role, so that we may end it."""

    pid: int
    name: str
    role: str
    ours: bool
    state: str


async def in_the_way_of(tx: Transaction, pid: int) -> list[Session]:
    """Return who holds what the session with this process id waits for; none if it does not wait."""
    return [Session(**row) for row in await tx.all(_IN_THE_WAY, pid=pid)]


async def end(tx: Transaction, pid: int) -> bool:
    """Cut a session off, whose transaction is rolled back; return whether it was there. Raises StatementFailed."""
    return bool((await tx.one(_END, pid=pid))["ended"])
