"""The label of who leads, on pods of a real cluster, with the rights that the chart gives and no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from charts import helm
from leader.kubernetes_label import LABEL, RoleLabel
from leader.kubernetes_lease import connected
from leader.leading import Leader
from leader.standing import Standing
from ratchet.bootstrap import open_runtime
from ratchet.clock import SystemClock
from tests.chart.objects import values_file
from tests.cluster.conftest import Cluster
from tests.integration.leader.test_own_thread import IDLE
from tests.servers.waiting import eventually
from tests.world import settings_for

pytestmark = pytest.mark.timeout(180)

ACCOUNT = "ratchet-leader"
PODS = ("leader-a", "leader-b")
KINDS = {"ServiceAccount", "Role", "RoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
TIMES = {
    "lease_duration_seconds": 6,
    "renew_deadline_seconds": 3.6,
    "retry_period_seconds": 0.5,
    "request_timeout_seconds": 0.5,
}


def a_pod(name: str) -> dict[str, Any]:
    """Return a pod that no node takes: labels are all that is asked of it."""
    container = {"name": "c", "image": "localhost/debian:bookworm"}
    spec = {"serviceAccountName": ACCOUNT, "nodeSelector": {"nowhere": "at-all"}, "containers": [container]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "leader"}},
        "spec": {**spec, "automountServiceAccountToken": False},
    }


def rights(namespace: str, *, label: bool) -> list[dict[str, Any]]:
    """Return what a release gives to its leaders."""
    options = [f"leader.roleLabel={str(label).lower()}", "leader.admissionPolicy=true"]
    objects = helm.render([values_file("demo")], *(word for option in options for word in ("--set", option)))
    text = yaml.safe_dump_all([one for one in objects if one["kind"] in KINDS and "leader" in one["metadata"]["name"]])
    text = text.replace("namespace: ratchet\n", f"namespace: {namespace}\n")
    text = text.replace("serviceaccount:ratchet:", f"serviceaccount:{namespace}:")
    text = text.replace("kubernetes.io/metadata.name: ratchet\n", f"kubernetes.io/metadata.name: {namespace}\n")
    return list(yaml.safe_load_all(text.replace("ratchet-ratchet-leader", f"{namespace}-leader")))


@pytest.fixture
def namespace(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """A namespace with two pods of a release's leaders."""
    name = f"ratchet-label-{uuid4().hex[:8]}"
    file = tmp_path / "objects.yaml"
    cluster.kubectl("create", "namespace", name)
    try:
        file.write_text(yaml.safe_dump_all([*rights(name, label=True), *(a_pod(pod) for pod in PODS)]))
        cluster.kubectl("apply", "-n", name, "-f", str(file))
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            cluster.kubectl("delete", kind, f"{name}-leader", "--ignore-not-found")


def as_pod(cluster: Cluster, namespace: str, pod: str, folder: Path) -> Path:
    """Return a kubeconfig file by which a process speaks as that pod."""
    token = cluster.kubectl(
        "-n", namespace, "create", "token", ACCOUNT, "--bound-object-kind=Pod", f"--bound-object-name={pod}"
    )
    known = yaml.safe_load(cluster.kubeconfig.read_text())
    known["users"] = [{"name": known["users"][0]["name"], "user": {"token": token.strip()}}]
    file = folder / f"{pod}.kubeconfig"
    file.write_text(yaml.safe_dump(known))
    return file


def labels(cluster: Cluster, namespace: str, pod: str) -> dict[str, str]:
    """Return a pod's labels as kubectl shows them."""
    found = json.loads(cluster.kubectl("-n", namespace, "get", "pod", pod, "-o", "json"))
    return dict(found["metadata"]["labels"])


@asynccontextmanager
async def following(api: client.ApiClient, namespace: str, pod: str, standing: Standing) -> AsyncIterator[None]:
    """Keep a pod's label in line with what is known for the time of the block."""
    label = RoleLabel(api, SystemClock(), namespace=namespace, pod=pod)
    task = asyncio.create_task(label.follow(standing))
    yield
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled(), "it fails nobody"


async def test_a_leader_labels_its_own_pod_while_it_leads(
    cluster: Cluster, namespace: str, tmp_path: Path, sqlite_url: str
) -> None:
    """The whole process, with the rights of its service account; it makes no Lease, for the chart made none here."""
    name = ACCOUNT
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}}
    (tmp_path / "lease.json").write_text(json.dumps(lease))
    cluster.kubectl("apply", "-n", namespace, "-f", str(tmp_path / "lease.json"))
    cluster.kubectl("-n", namespace, "label", "pod", PODS[0], f"{LABEL}=leader")  # left there by a dead container
    place = {
        "backend": "kubernetes",
        "kubeconfig": as_pod(cluster, namespace, PODS[0], tmp_path),
        "namespace": namespace,
        "lease_name": name,
        "pod_name": PODS[0],
        "role_label": True,
    }
    settings = settings_for(tmp_path, sqlite_url, "http://127.0.0.1:9", leader={**TIMES, **place})
    async with open_runtime(settings, role="leader") as rt:
        leader = Leader(rt, IDLE)
        running = asyncio.create_task(leader.run())
        await eventually(lambda: leader.leads, within=30)
        await eventually(lambda: labels(cluster, namespace, PODS[0]).get(LABEL) == "leader", within=30)
        assert cluster.kubectl("-n", namespace, "get", "pods", "-l", f"{LABEL}=leader", "-o", "name").split() == [
            f"pod/{PODS[0]}"
        ]
        leader.stop()
        await asyncio.wait([running], timeout=30)
    assert labels(cluster, namespace, PODS[0]) == {"app": "leader"}


async def test_a_pod_that_does_not_lead_takes_off_the_label_that_a_dead_container_left(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    cluster.kubectl("-n", namespace, "label", "pod", PODS[0], f"{LABEL}=leader")
    standing = Standing()
    async with (
        connected(as_pod(cluster, namespace, PODS[0], tmp_path)) as api,
        following(api, namespace, PODS[0], standing),
    ):
        await eventually(lambda: LABEL not in labels(cluster, namespace, PODS[0]), within=30)


async def test_a_leader_may_label_no_other_pod_and_change_nothing_else_of_its_own(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    async with connected(as_pod(cluster, namespace, PODS[0], tmp_path)) as api:

        async def refused(pod: str, patch: dict[str, Any]) -> bool:
            """Whether the API server refuses; a new policy is not enforced at once."""
            try:
                await client.CoreV1Api(api).patch_namespaced_pod(
                    pod, namespace, patch, _content_type="application/merge-patch+json"
                )
            except ApiException as error:
                assert error.status == 422
                return True
            return False

        def labelled(**found: str | None) -> dict[str, Any]:
            return {"metadata": {"labels": found}}

        role = labelled(**{LABEL: "leader"})
        image = {"spec": {"containers": [{"name": "c", "image": "localhost/other"}]}}
        await eventually(lambda: refused(PODS[1], role), within=30)
        for patch in (labelled(app="other"), labelled(app=None), labelled(more="x"), image):
            assert await refused(PODS[0], patch), patch
        assert not await refused(PODS[0], role)


async def test_without_the_right_a_leader_leads_all_the_same(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    role = next(one for one in rights(namespace, label=False) if one["kind"] == "Role")
    (tmp_path / "role.json").write_text(json.dumps(role))
    cluster.kubectl("apply", "-n", namespace, "-f", str(tmp_path / "role.json"))
    standing = Standing(epoch=1)
    async with (
        connected(as_pod(cluster, namespace, PODS[0], tmp_path)) as api,
        following(api, namespace, PODS[0], standing),
    ):
        label = RoleLabel(api, SystemClock(), namespace=namespace, pod=PODS[0])
        await label.last_look(standing)
    assert LABEL not in labels(cluster, namespace, PODS[0])
