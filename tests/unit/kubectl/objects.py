"""Objects as kubectl prints them, of a release that stands as it should."""

from __future__ import annotations

from typing import Any

from tests.unit.kubectl.fake import FakeKubectl

AT = "2026-11-27T10:26:23"


def labels(component: str, release: str = "ratchet") -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "ratchet",
        "app.kubernetes.io/instance": release,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "ratchet",
    }


def deployment(component: str, *, release: str = "ratchet", lease: str | None = "ratchet-leader") -> dict[str, Any]:
    env = [{"name": "RATCHET_LEADER__LEASE_NAME", "value": lease}] if component == "leader" and lease else []
    source = {"secret": {"name": "ratchet-tokens", "items": [{"key": "api-token", "path": "api-token"}]}}
    return {
        "kind": "Deployment",
        "metadata": {"name": f"{release}-{component}", "namespace": "trading", "labels": labels(component, release)},
        "spec": {
            "replicas": 2,
            "template": {
                "spec": {
                    "serviceAccountName": "ratchet",
                    "securityContext": {"runAsNonRoot": True},
                    "containers": [
                        {
                            "name": component,
                            "image": "ratchet:0.1.0",
                            "env": env,
                            "securityContext": {"readOnlyRootFilesystem": True},
                        }
                    ],
                    "volumes": [{"name": "secrets", "projected": {"sources": [source]}}],
                }
            },
        },
        "status": {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2},
    }


def pod(
    name: str, component: str, *, node: str = "node0", ready: bool = True, uid: str = "1", **meta: Any
) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "uid": uid,
            "labels": labels(component),
            "creationTimestamp": "2026-11-27T10:20:00Z",
            **meta,
        },
        "spec": {"nodeName": node},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"restartCount": 0, "state": {"running": {}}}],
        },
    }


def lease(holder: str = "leader-a_uid_1", epoch: int | None = 3) -> dict[str, Any]:
    notes = {} if epoch is None else {"ratchet.dev/epoch": str(epoch)}
    return {
        "kind": "Lease",
        "metadata": {
            "name": "ratchet-leader",
            "labels": labels("leader"),
            "annotations": {**notes, "meta.helm.sh/release-name": "ratchet"},
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 10,
            "leaseTransitions": 4,
            "renewTime": f"{AT}.000000Z",
        },
    }


def health(kind: str = "simulator", mode: str = "live") -> dict[str, Any]:
    return {
        "health": {
            "status": "ok",
            "version": "0.1.0",
            "broker": {"kind": kind, "mode": mode, "accounts": 3},
            "database": {"kind": "postgresql", "reachable": True, "away_seconds": 0.0},
            "redis": {"configured": True, "healthy": True},
            "sending": {"entries_on": True, "exits_on": True, "reason": None},
            "leadership": {"leader": {"holder": "here", "epoch": 3}},
        },
        "portfolios": [{"account": "main"}, {"account": "load-01"}],
        "open_incidents": [],
        "queue": {"accepted": 1, "processing": 2, "review": 0},
    }


PODS = (
    pod("leader-a", "leader", node="node0"),
    pod("leader-b", "leader", node="node1"),
    pod("signals-a", "signals", node="node1"),
    pod("ratchet-postgres-0", "postgres", node="node2"),
)


def items(*found: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "List", "items": list(found)}


def stands(fake: FakeKubectl, *, status: dict[str, Any] | None = None, pods: tuple[Any, ...] = PODS) -> None:
    """Let kubectl tell of a release that is well. What a test wrote down before is stronger."""
    deployments = deployment("signals"), deployment("leader")
    fake.when("get", "deployments", says=items(*deployments))
    fake.when("get", "deployments,statefulsets,pods,leases", says=items(*deployments, *pods, lease()))
    fake.when("get", "pods", says=items(*pods))
    fake.when("get", "lease", "ratchet-leader", says=lease())
    fake.when("exec", "signals-a", "ratchet", "status", says=health() if status is None else status)
