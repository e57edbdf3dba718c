"""The lease as a row of the database, for places without Kubernetes, and the fence, which is there in any place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from leader.leadership import Leadership, LeadershipLost
from leader.lease import LeaseConflict, LeaseUnavailable, Record
from ratchet.clock import Clock
from ratchet.persistence import leases, sessions
from ratchet.persistence.database import Database
from ratchet.persistence.errors import PersistenceError
from ratchet.persistence.transaction import Transaction

log = logging.getLogger(__name__)

ROLE = "leader"
"""The name of the lease and of the fence's row."""

PATIENCE_SECONDS = 1.0
"""How long a new leader waits for a former one's transaction before it cuts it off."""

SESSION_OF = "ratchet-leader/"
SESSION_TAIL = 63 - len(SESSION_OF)
"""PostgreSQL keeps 63 bytes of an application_name."""


class DatabaseLease:
    """The lease `name`. Every write is one statement that commits by itself."""

    def __init__(self, db: Database, clock: Clock, name: str = ROLE) -> None:
        self._db = db
        self._clock = clock
        self._name = name

    async def get(self) -> Record | None:
        """Return the record, or None if there is none. Raises LeaseUnavailable."""
        async with self._statement() as tx:
            row = await leases.read(tx, self._name)
        return None if row is None else _record(row)

    async def create(self, *, holder: str, duration_seconds: int) -> Record:
        """Make the record. Raises LeaseConflict, LeaseUnavailable."""
        async with self._statement() as tx:
            row = await leases.create(
                tx, self._name, uid=str(uuid4()), holder=holder, duration_seconds=duration_seconds
            )
        if row is None:
            raise LeaseConflict("somebody made the lease first")
        return _record(row)

    async def replace(self, seen: Record, *, holder: str, duration_seconds: int, transitions: int) -> Record:
        """Write over the version that was seen. Raises LeaseConflict, LeaseUnavailable."""
        async with self._statement() as tx:
            row = await leases.replace(
                tx,
                self._name,
                uid=seen.uid,
                version=int(seen.version),
                holder=holder,
                duration_seconds=duration_seconds,
                transitions=transitions,
            )
        if row is None:
            raise LeaseConflict("somebody wrote the lease in between")
        return _record(row)

    async def wait(self, seen: Record | None, timeout: float) -> Record | None:
        """Return the record as it is after `timeout` seconds. Raises LeaseUnavailable."""
        await self._clock.sleep(timeout)
        return await self.get()

    async def close(self) -> None:
        """Do nothing: the database is closed by who opened it."""

    @asynccontextmanager
    async def _statement(self) -> AsyncIterator[Transaction]:
        try:
            async with self._db.single(name="lease") as tx:
                yield tx
        except PersistenceError as error:
            raise LeaseUnavailable(str(error)) from error


class DatabaseFence:
    """The epoch of one role. patience: seconds for which a former leader's transaction may keep a new one waiting."""

    def __init__(self, db: Database, role: str = ROLE, *, patience: float = PATIENCE_SECONDS) -> None:
        self._db = db
        self._role = role
        self._patience = patience

    async def take(self, *, holder: str, lease_uid: str, transitions: int) -> int | None:
        """Raise the epoch for this win and return it; None if a later win has raised it. Raises LeaseUnavailable.

        A former leader's transaction that keeps it waiting is cut off: what it has not committed, it never will.
        """
        waiting: list[int] = []

        async def take() -> int | None:
            async with self._db.transaction(name="take the epoch") as tx:
                waiting.append(tx.connection_id)
                return await leases.take_epoch(
                    tx, self._role, holder=holder, lease_uid=lease_uid, transitions=transitions
                )

        taking = asyncio.create_task(take(), name="take the epoch")
        try:
            while not (await asyncio.wait([taking], timeout=self._patience))[0]:
                if waiting and self._db.dialect == "postgresql":
                    await self._clear_the_way(waiting[0])
            return taking.result()
        except PersistenceError as error:
            raise LeaseUnavailable(str(error)) from error
        finally:
            taking.cancel()
            await asyncio.wait([taking])

    async def check(self, leadership: Leadership) -> None:
        """Raise LeadershipLost if the database knows a later leader. Raises PersistenceError."""
        async with self._db.transaction(name="check the epoch") as tx:
            mine = await leases.check_epoch(tx, self._role, leadership.epoch)
        if not mine:
            raise LeadershipLost(f"the database knows a later leader than epoch {leadership.epoch}")

    async def _clear_the_way(self, waiting: int) -> None:
        """End the sessions of former leaders that `waiting`, a session of ours, waits for."""
        try:
            async with self._db.single(name="who is in the way") as tx:
                for other in await sessions.in_the_way_of(tx, waiting):
                    await self._end(tx, other)
        except PersistenceError as error:
            facts = {"event": "session_not_ended", "error": str(error)}
            log.warning("a former leader's session could not be ended", extra=facts)

    async def _end(self, tx: Transaction, other: sessions.Session) -> None:
        facts = {"session": other.name, "pid": other.pid, "state": other.state, "database_role": other.role}
        if not other.name.startswith(SESSION_OF):
            log.warning("the epoch is held up, by no leader", extra={"event": "epoch_held_up", **facts})
        elif not other.ours:
            why = "this process's database role may not end the session of a former leader: it waits for its time-outs"
            log.warning(why, extra={"event": "session_not_ended", **facts})
        elif await sessions.end(tx, other.pid):
            log.warning("ended the session of a former leader", extra={"event": "session_ended", **facts})


def session_name(identity: str) -> str:
    """Return the application_name of a leader's sessions; the end of its identity tells processes apart."""
    return f"{SESSION_OF}{identity[-SESSION_TAIL:]}"


def _record(row: leases.LeaseRow) -> Record:
    return Record(
        uid=row.uid,
        holder=row.holder,
        duration_seconds=row.duration_seconds,
        renewed=row.renewed_at.isoformat(),
        transitions=row.transitions,
        version=str(row.version),
    )
