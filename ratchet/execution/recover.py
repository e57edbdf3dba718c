"""Recover: what dead processes left behind. Pods take expired claims over by themselves; this finds what they do not.

A process whose lock is free is written down as stopped, so that its unknown orders are resolved by proof instead of by
time. A signal that no pod has taken long after it was due is given its turns here.
"""

from __future__ import annotations

import logging
import os

from ratchet.execution.accept import Acceptor
from ratchet.execution.markets import Markets
from ratchet.execution.pod import Presence
from ratchet.execution.resolve import lock_is_free
from ratchet.execution.worker import Worker
from ratchet.observability import metrics
from ratchet.persistence import backlog, claims, instances
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)


async def run(rt: Runtime) -> dict[str, int]:
    """Take one pass. Returns how many processes were found dead and how many signals were taken up.

    Raises PersistenceError.
    """
    await Presence(rt, "leader").enter()
    dead = await _bury(rt)
    lease = rt.settings.execution.claim_lease_seconds
    worker = Worker(rt, Markets(rt), Acceptor(rt).accept_alone)
    taken = await worker.once(overdue_seconds=lease)
    async with rt.db.single(name="open-work") as tx:
        waiting, oldest = await claims.open_work(tx)
        now = await tx.now()
        under_way = await backlog.count(tx)
    metrics.OLDEST_WAITING_SECONDS.set(0 if oldest is None else (now - oldest).total_seconds())
    metrics.SIGNALS_WAITING.labels("open").set(waiting)
    for state, many in under_way.intents.items():
        metrics.INTENTS.labels(str(state)).set(many)
    metrics.INCIDENTS_OPEN.clear()
    for kind, many in under_way.incidents.items():
        metrics.INCIDENTS_OPEN.labels(kind).set(many)
    if dead or taken:
        facts = {"event": "recovered", "dead": dead, "signals": taken}
        log.warning("took up what was left behind", extra=facts)
    return {"dead": dead, "signals": taken, "waiting": waiting}


async def _bury(rt: Runtime) -> int:
    """Write down the processes of this host that are dead."""

    async def work(tx: Transaction) -> int:
        dead = [
            one
            for one in await instances.everyone(tx)
            if one.stopped_at is None
            and one.boot_id != rt.boot_id
            and one.host == os.uname().nodename
            and one.lock_file is not None
            and lock_is_free(str(one.lock_file))
        ]
        for one in dead:
            await instances.stop(tx, one.boot_id)
        return len(dead)

    return await rt.db.run(work, name="bury")
