"""The place of a leader in a Kubernetes cluster: its Lease, and what the Lease shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import ratchet
from leader.announcing import Announce
from leader.kubernetes_events import KubernetesEvents
from leader.kubernetes_label import RoleLabel
from leader.kubernetes_lease import KubernetesLease, connect, connected
from leader.kubernetes_rolls import RollMarks
from leader.leadership import Leadership
from leader.place import Candidate, Place
from leader.rolls import Rolls
from leader.standing import Standing

QUIET_PERIODS = 2
"""Renewals that a watch may miss before it is taken for dead."""


@asynccontextmanager
async def in_cluster(me: Candidate, *, namespace: str) -> AsyncIterator[Place]:
    """Open it. Raises config.ConfigException if neither a kubeconfig file nor a service account can be read."""
    settings, clock = me.rt.settings.leader, me.rt.clock
    api = await connect(settings.kubeconfig)
    lease = KubernetesLease(
        api,
        clock,
        namespace=namespace,
        name=settings.lease_name,
        request_timeout=settings.request_timeout_seconds,
        quiet=QUIET_PERIODS * settings.retry_period_seconds,
        annotations=lambda: shown(me.standing),
    )
    events = KubernetesEvents(
        api,
        clock,
        namespace=namespace,
        identity=me.identity,
        lease=(settings.lease_name, lambda: lease.uid),
        pod=(settings.pod_name, settings.pod_uid) if settings.pod_name and settings.pod_uid else None,
    )
    telling = [asyncio.create_task(events.run(), name="events of the cluster")]
    label = None
    if settings.role_label and settings.pod_name:
        label = RoleLabel(api, clock, namespace=namespace, pod=settings.pod_name)
        telling.append(asyncio.create_task(label.follow(me.standing), name="label of the pod"))

    async def beside(leadership: Leadership, announce: Announce) -> None:
        # On the loop of the duties, so with connections of its own.
        async with connected(settings.kubeconfig) as own:
            leader = (settings.lease_name, lambda: lease.uid)
            marks = RollMarks(own, me.rt, namespace=namespace, identity=me.identity, leader=leader)
            await Rolls(me.rt, announce, me.standing, marks.show).run(leadership)

    try:
        yield Place(lease=lease, announce=events, beside=beside)
    finally:
        async with asyncio.TaskGroup() as last:
            last.create_task(events.last_words())
            if label is not None:
                last.create_task(label.last_look(me.standing))
        for task in telling:
            task.cancel()
        await asyncio.wait(telling)
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
