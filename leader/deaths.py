"""Proof that the process which a lease names runs no more, so that its lease need not run out.

A wrong no costs seconds; a wrong yes is made harmless by the epoch of the database.
"""

from __future__ import annotations

import os

from leader.elector import Dead
from ratchet.execution.resolve import lock_is_free
from ratchet.persistence import instances
from ratchet.persistence.database import Database
from ratchet.persistence.errors import PersistenceError

HEARD_OF_SECONDS = 120.0
"""A process that was heard of longer ago has long lost its lease."""


async def everybody(_holder: str) -> bool:
    """Return True: whoever held it is gone."""
    return True


def evidence(db: Database, identity: str, pod_uid: str | None) -> Dead:
    """Return who can tell whether a holder is dead.

    Either the identity says that it ran in our own pod, of which we are the container that runs now; or it ran on this
    host, and the lock that it held since its start is free.
    """

    async def dead(holder: str) -> bool:
        if holder == identity:
            return False
        return _of_our_pod(holder, pod_uid) or await _lock_is_free(db, holder)

    return dead


def _of_our_pod(holder: str, pod_uid: str | None) -> bool:
    parts = holder.split("_")
    return pod_uid is not None and len(parts) == 3 and parts[1] == pod_uid


async def _lock_is_free(db: Database, holder: str) -> bool:
    process = holder.rpartition("_")[2]
    try:
        async with db.single(name="who-lives") as tx:
            known = await instances.live(tx, within_seconds=HEARD_OF_SECONDS)
    except PersistenceError:
        return False
    return any(
        lock_is_free(str(one.lock_file))
        for one in known
        if one.boot_id.endswith(process) and one.host == os.uname().nodename and one.lock_file is not None
    )
