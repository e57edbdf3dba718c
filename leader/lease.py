"""The promise of a lease: one record that names who leads, changed only by whoever has seen its latest version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

ANY = "any"
"""In the place of a pod's name: any other one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The lease as it was read.

    uid: changes when the lease is deleted and made again. holder: empty if nobody holds it.
    duration_seconds: how long after its last change others have to wait. renewed: when the holder last wrote, by the
    holder's or the server's clock; compared for equality only, never with a clock.
    transitions: grows with each new holder; starts at 0 with a new uid. version: changes with each write.
    hand_over_to: the pod that a person wants to lead, ANY for whoever comes first, empty as a rule.
    """

    uid: str
    holder: str
    duration_seconds: int
    renewed: str
    transitions: int
    version: str
    hand_over_to: str = ""


class LeaseConflict(Exception):
    """Somebody wrote in between, or the lease exists already, or it is gone: read it again."""


class LeaseUnavailable(Exception):
    """No answer, no connection, or an error: the write may have happened all the same."""


class Lease(Protocol):
    """Where the record is kept. Each method may raise LeaseUnavailable; the caller bounds its time."""

    async def get(self) -> Record | None:
        """Return the record, or None if there is none."""
        ...

    async def create(self, *, holder: str, duration_seconds: int) -> Record:
        """Make the record with `transitions` 0 and return it. Raises LeaseConflict if there is one."""
        ...

    async def replace(self, seen: Record, *, holder: str, duration_seconds: int, transitions: int) -> Record:
        """Write over the version that was seen, renewing it, and return the result. Raises LeaseConflict.

        A wish to hand over is cleared with it.
        """
        ...

    async def wait(self, seen: Record | None, timeout: float) -> Record | None:
        """Return the record when it differs from `seen`, or what is known after `timeout` seconds.

        How soon a change is seen depends on the place: at once where it can be watched, else when the time is over.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Fence(Protocol):
    """The database's own count of leaders, which decides who may write."""

    async def take(self, *, holder: str, lease_uid: str, transitions: int) -> int | None:
        """Raise the epoch for this win of the lease and return it; None if a later win has raised it already.

        Raises LeaseUnavailable.
        """
        ...
