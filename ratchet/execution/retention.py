"""Retention: room for the signals to come, and an end for those that nothing can need any more.

A signal is forgotten only when its stamp is older than any that is still accepted as new, and only with its end. The
journal, intents, fills and ledger stay: the proofs stand on them. Source: docs/protocol.md, section 2.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from ratchet.persistence import instances, partitions
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

_MARGIN = timedelta(days=1)
"""Kept longer than stamps are accepted, so that no difference of clocks can make a forgotten signal new."""
_MONTH = timedelta(days=31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """What one pass did. made, dropped: names of partitions; forgotten: processes that stopped long ago."""

    made: list[str]
    dropped: list[str]
    forgotten: int


async def run(rt: Runtime) -> Housekeeping:
    """Make partitions ahead, and drop what is past its time. Raises PersistenceError."""
    keep = timedelta(days=rt.settings.execution.retention_days)

    async def ahead(tx: Transaction) -> list[str]:
        return await partitions.ensure_partitions(
            tx, await tx.now() + _MONTH * rt.settings.leader.partitions_ahead_months
        )

    async def expired(tx: Transaction) -> list[str]:
        return await partitions.drop_expired(tx, await tx.now() - keep - _MARGIN)

    async def processes(tx: Transaction) -> int:
        return await instances.forget(tx, after_seconds=keep.total_seconds())

    # Apart from each other: each takes locks of its own, and one that has to wait must not hold up the others.
    done = Housekeeping(
        made=await rt.db.run(ahead, name="partitions-ahead"),
        dropped=await rt.db.run(expired, name="partitions-expired"),
        forgotten=await rt.db.run(processes, name="processes-forgotten"),
    )
    if done.made or done.dropped or done.forgotten:
        facts = {"event": "housekeeping", "made": done.made, "dropped": done.dropped, "forgotten": done.forgotten}
        log.info("housekeeping", extra=facts)
    return done
