"""Where this process is elected: on a row of the database, or on a Lease of the Kubernetes cluster around it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from leader.announcing import Announce, to_nobody
from leader.database_lease import DatabaseLease, session_name
from leader.leadership import Leadership
from leader.lease import Lease
from leader.standing import Standing
from ratchet.config import Settings
from ratchet.config.duties import LeaderBackend
from ratchet.persistence.database import Database
from ratchet.runtime import Runtime

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds what lets it talk to its API server."""

HOLDER_LENGTH = 200
"""Longest identity that the lease's row takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What differs from place to place; it belongs to the loop of the election.

    announce: to be called on that loop. beside: run beside the duties, on their loop, for as long as this process
    leads; it decides nothing and never fails them.
    """

    lease: Lease
    announce: Announce = to_nobody
    beside: Callable[[Leadership, Announce], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Who stands for election. db: the database, on connections of the election's own loop. standing: to be shown."""

    rt: Runtime
    db: Database
    identity: str
    standing: Standing


@asynccontextmanager
async def opened(me: Candidate) -> AsyncIterator[Place]:
    """Open the place that the settings choose. Raises what tells that a cluster's settings cannot be read."""
    if chosen(me.rt.settings) is LeaderBackend.DATABASE:
        yield Place(lease=DatabaseLease(me.db, me.rt.clock))
        return
    # Imported here alone: half a second and 20 MB that only a leader in a cluster pays for.
    from leader.kubernetes_place import in_cluster

    async with in_cluster(me, namespace=namespace(me.rt.settings)) as place:
        yield place


def chosen(settings: Settings, *, exists: Callable[[Path], bool] = Path.exists) -> LeaderBackend:
    """Return the place in use; `auto` is the cluster if this process was given the means to talk to one."""
    leader = settings.leader
    if leader.backend is not LeaderBackend.AUTO:
        return leader.backend
    means = leader.kubeconfig is not None or all(exists(SERVICE_ACCOUNT / name) for name in ("token", "ca.crt"))
    return LeaderBackend.KUBERNETES if means and not settings.embedded else LeaderBackend.DATABASE


def namespace(settings: Settings) -> str:
    """Return the namespace of the lease: as set, or the pod's own, or `default`."""
    if settings.leader.namespace is not None:
        return settings.leader.namespace
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or "default"
    except OSError:
        return "default"


def identity_of(settings: Settings, boot_id: str) -> str:
    """Return the name for the lease: of the host, or of the pod and its uid, and a part that is new with each process.

    Never the host's or the pod's name alone: a process that was started again would inherit the lease without a
    transition.
    """
    if chosen(settings) is LeaderBackend.DATABASE:
        return f"{socket.gethostname()}_{boot_id}"[-HOLDER_LENGTH:]
    pod = settings.leader.pod_name or socket.gethostname()
    return f"{pod}_{settings.leader.pod_uid or '-'}_{boot_id[-8:]}"[-HOLDER_LENGTH:]


def session_of(settings: Settings, boot_id: str) -> str:
    """Return what this process's sessions in the database are called, by which its successor finds them."""
    return session_name(identity_of(settings, boot_id))
