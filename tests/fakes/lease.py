"""A lease and a fence in memory that can be cut off, slowed down and written to behind one's back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import count

from leader.lease import LeaseConflict, LeaseUnavailable, Record
from ratchet.clock import Clock


class MemoryLease:
    """What several electors share. `away`: calls raise; `silent`: they never end; `deaf`: writes lose their answers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.record: Record | None = None
        self.away = False
        self.silent = False
        self.deaf = False
        self.writes = 0
        self._versions = count(1)

    async def get(self) -> Record | None:
        """Return the record."""
        await self._reach()
        return self.record

    async def create(self, *, holder: str, duration_seconds: int) -> Record:
        """Make the record."""
        await self._reach()
        if self.record is not None:
            raise LeaseConflict("there is one")
        return self._write(
            Record(
                uid=f"u{next(self._versions)}",
                holder=holder,
                duration_seconds=duration_seconds,
                renewed="",
                transitions=0,
                version="",
            )
        )

    async def replace(self, seen: Record, *, holder: str, duration_seconds: int, transitions: int) -> Record:
        """Write over the version seen."""
        await self._reach()
        if self.record is None or self.record.version != seen.version:
            raise LeaseConflict("somebody wrote in between")
        return self._write(
            replace(seen, holder=holder, duration_seconds=duration_seconds, transitions=transitions, hand_over_to="")
        )

    async def wait(self, seen: Record | None, timeout: float) -> Record | None:
        """Return the record after some time."""
        await self._clock.sleep(timeout)
        return await self.get()

    async def close(self) -> None:
        """Do nothing."""

    def wish(self, to: str) -> None:
        """Write the wish to hand over, as a person does."""
        assert self.record is not None
        self.record = replace(self.record, hand_over_to=to, version=str(next(self._versions)))

    def _write(self, record: Record) -> Record:
        version = str(next(self._versions))
        self.record = replace(record, version=version, renewed=version)
        self.writes += 1
        if self.deaf:
            raise LeaseUnavailable("no answer")
        return self.record

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.silent:
            await asyncio.Event().wait()
        if self.away:
            raise LeaseUnavailable("no connection")


class MemoryFence:
    """The epoch in memory, by the same rule as the database's."""

    def __init__(self) -> None:
        self.epoch = 0
        self.away = False
        self._last: tuple[str, int] | None = None

    async def take(self, *, holder: str, lease_uid: str, transitions: int) -> int | None:
        """Raise the epoch for a new win."""
        await asyncio.sleep(0)
        if self.away:
            raise LeaseUnavailable("no connection")
        if self._last is not None and self._last[0] == lease_uid and self._last[1] >= transitions:
            return None
        self._last = (lease_uid, transitions)
        self.epoch += 1
        return self.epoch
