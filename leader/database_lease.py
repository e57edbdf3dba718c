"""The lease as a row of the database, for places without Kubernetes, and the fence, which is there in any place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from leader.leadership import Leadership, LeadershipLost
from leader.lease import LeaseConflict, LeaseUnavailable, Record
from ratchet.clock import Clock
from ratchet.persistence import leases
from ratchet.persistence.database import Database
from ratchet.persistence.errors import PersistenceError
from ratchet.persistence.transaction import Transaction

ROLE = "leader"
"""The name of the lease and of the fence's row."""


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
    """The epoch of one role."""

    def __init__(self, db: Database, role: str = ROLE) -> None:
        self._db = db
        self._role = role

    async def take(self, *, holder: str, lease_uid: str, transitions: int) -> int | None:
        """Raise the epoch for this win and return it; None if a later win has raised it. Raises LeaseUnavailable."""
        try:
            async with self._db.transaction(name="take the epoch") as tx:
                return await leases.take_epoch(
                    tx, self._role, holder=holder, lease_uid=lease_uid, transitions=transitions
                )
        except PersistenceError as error:
            raise LeaseUnavailable(str(error)) from error

    async def check(self, leadership: Leadership) -> None:
        """Raise LeadershipLost if the database knows a later leader. Raises PersistenceError."""
        async with self._db.transaction(name="check the epoch") as tx:
            mine = await leases.check_epoch(tx, self._role, leadership.epoch)
        if not mine:
            raise LeadershipLost(f"the database knows a later leader than epoch {leadership.epoch}")


def _record(row: leases.LeaseRow) -> Record:
    return Record(
        uid=row.uid,
        holder=row.holder,
        duration_seconds=row.duration_seconds,
        renewed=row.renewed_at.isoformat(),
        transitions=row.transitions,
        version=str(row.version),
    )
