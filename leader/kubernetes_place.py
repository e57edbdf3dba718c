"""The place of a leader in a Kubernetes cluster: its Lease, and what the Lease shows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import ratchet
from leader.kubernetes_lease import KubernetesLease, connect
from leader.place import Place
from leader.standing import Standing
from ratchet.runtime import Runtime

QUIET_PERIODS = 2
"""Renewals that a watch may miss before it is taken for dead."""


@asynccontextmanager
async def in_cluster(rt: Runtime, *, identity: str, namespace: str) -> AsyncIterator[Place]:
    """Open it. Raises config.ConfigException if neither a kubeconfig file nor a service account can be read."""
    settings = rt.settings.leader
    standing = Standing()
    lease = KubernetesLease(
        await connect(settings.kubeconfig),
        rt.clock,
        namespace=namespace,
        name=settings.lease_name,
        request_timeout=settings.request_timeout_seconds,
        quiet=QUIET_PERIODS * settings.retry_period_seconds,
        annotations=lambda: shown(standing),
    )
    try:
        yield Place(lease=lease, identity=identity, standing=standing)
    finally:
        await lease.close()


def shown(standing: Standing) -> Mapping[str, str | None]:
    """Return the annotations of the lease."""
    last, following = standing.last_rollover, standing.next_rollover
    return {
        "ratchet.dev/epoch": None if standing.epoch is None else str(standing.epoch),
        "ratchet.dev/version": ratchet.__version__,
        "ratchet.dev/last-rollover": None if last is None else last.isoformat(timespec="seconds"),
        "ratchet.dev/next-rollover": None if following is None else following.isoformat(),
    }
