"""One Lease for each contract that is being left, so that `kubectl get leases` shows what rolls, and who rolls it.

They are signs for people. What keeps two leaders from one roll is its claim and the fence in the database.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping

from kubernetes.aio import client

from leader.kubernetes_lease import KubernetesLease
from leader.leadership import Leadership
from leader.lease import LeaseConflict, LeaseUnavailable
from leader.rolls import Roll
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)


class RollMarks:
    """Makes, renews and removes them. leader: name and uid of the leader's own Lease, with which they would go."""

    def __init__(
        self,
        api: client.ApiClient,
        rt: Runtime,
        *,
        namespace: str,
        identity: str,
        leader: tuple[str, Callable[[], str | None]],
    ) -> None:
        self._api = api
        self._rt = rt
        self._namespace = namespace
        self._identity = identity
        self._leader = leader
        self._marks: dict[str, KubernetesLease] = {}

    async def show(self, under_way: Mapping[str, Roll], leadership: Leadership) -> None:
        """Bring the marks in line with the rolls under way; what cannot be reached is tried at the next look."""
        for name in [*under_way, *(self._marks.keys() - under_way.keys())]:
            if not leadership.valid:
                return
            mark = self._marks.setdefault(name, self._mark(name))
            try:
                if name in under_way:
                    await self._renew(mark)
                else:
                    await self._remove(mark)
                    self._marks.pop(name)
            except (LeaseConflict, LeaseUnavailable) as error:
                log.debug("a roll is not shown", extra={"event": "mark_missed", "mark": name, "error": str(error)})

    async def _renew(self, mark: KubernetesLease) -> None:
        seconds = math.ceil(self._rt.settings.leader.lease_duration_seconds)
        seen = await mark.get()
        if seen is None:
            await mark.create(holder=self._identity, duration_seconds=seconds)
            return
        changes = seen.transitions + (seen.holder != self._identity)
        await mark.replace(seen, holder=self._identity, duration_seconds=seconds, transitions=changes)

    async def _remove(self, mark: KubernetesLease) -> None:
        seen = await mark.get()
        if seen is not None and seen.holder == self._identity:
            await mark.delete(seen)

    def _mark(self, name: str) -> KubernetesLease:
        settings = self._rt.settings.leader
        leader_name, leader_uid = self._leader
        uid = leader_uid()
        owner = client.V1OwnerReference(
            api_version="coordination.k8s.io/v1", kind="Lease", name=leader_name, uid=uid or ""
        )
        return KubernetesLease(
            self._api,
            self._rt.clock,
            namespace=self._namespace,
            name=name,
            request_timeout=settings.request_timeout_seconds,
            quiet=settings.retry_period_seconds,
            owner=owner if uid else None,
        )
