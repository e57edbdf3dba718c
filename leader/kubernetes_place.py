"""The place of a leader in a Kubernetes cluster: its Lease, and what the Lease shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import ratchet
from leader.kubernetes_events import KubernetesEvents
from leader.kubernetes_lease import KubernetesLease, connect
from leader.kubernetes_rolls import RollMarks
from leader.place import Place
from leader.rolls import Rolls
from leader.standing import Standing
from ratchet.runtime import Runtime

QUIET_PERIODS = 2
"""Renewals that a watch may miss before it is taken for dead."""


@asynccontextmanager
async def in_cluster(rt: Runtime, *, identity: str, namespace: str) -> AsyncIterator[Place]:
    """Open it. Raises config.ConfigException if neither a kubeconfig file nor a service account can be read."""
    settings = rt.settings.leader
    standing = Standing()
    api = await connect(settings.kubeconfig)
    lease = KubernetesLease(
        api,
        rt.clock,
        namespace=namespace,
        name=settings.lease_name,
        request_timeout=settings.request_timeout_seconds,
        quiet=QUIET_PERIODS * settings.retry_period_seconds,
        annotations=lambda: shown(standing),
    )
    events = KubernetesEvents(
        api,
        rt.clock,
        namespace=namespace,
        identity=identity,
        lease=(settings.lease_name, lambda: lease.uid),
        pod=(settings.pod_name, settings.pod_uid) if settings.pod_name and settings.pod_uid else None,
    )
    marks = RollMarks(api, rt, namespace=namespace, identity=identity, leader=(settings.lease_name, lambda: lease.uid))
    rolls = Rolls(rt, events, standing, marks.show)
    telling = asyncio.create_task(events.run(), name="events of the cluster")
    try:
        yield Place(lease=lease, identity=identity, standing=standing, announce=events, beside=rolls.run)
    finally:
        await events.last_words()
        telling.cancel()
        await asyncio.wait([telling])
        await lease.close()
        await api.close()  # type: ignore[no-untyped-call]


def shown(standing: Standing) -> Mapping[str, str | None]:
    """Return the annotations of the lease."""
    last, following = standing.last_rollover, standing.next_rollover
    # The last one may have been another leader's, whose word for it stays.
    known = {} if last is None else {"ratchet.dev/last-rollover": last.isoformat(timespec="seconds")}
    return {
        **known,
        "ratchet.dev/epoch": None if standing.epoch is None else str(standing.epoch),
        "ratchet.dev/version": ratchet.__version__,
        "ratchet.dev/next-rollover": None if following is None else following.isoformat(),
    }
