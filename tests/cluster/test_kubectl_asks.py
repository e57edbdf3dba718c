"""kubectl ratchet against a real API server: what it is told there, and what it makes of it. Needs no node."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed
from ratchet.clock import SystemClock
from ratchet.kubectl import complete, main
from ratchet.kubectl.kubectl import Kubectl, NotFound
from ratchet.kubectl.leading import led_by_another
from ratchet.kubectl.release import find
from ratchet.kubectl.watching import Chronicle, watching
from tests.cluster.conftest import Cluster
from tests.unit.kubectl.objects import deployment, labels, lease, pod

pytestmark = pytest.mark.timeout(120)

LEASES = "--resource=leases.coordination.k8s.io"


@pytest.fixture
def namespace(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A namespace of its own, with kubectl on PATH and no pod that any node would start."""
    path, kubeconfig = cluster.shell('printf "%s\\n%s" "$PATH" "$KUBECONFIG"').splitlines()
    monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", kubeconfig)
    name = f"kubectl-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def installed(namespace: str) -> Kubectl:
    """Create what a release consists of, as far as these commands look: nothing of it runs."""
    kube = Kubectl(namespace=namespace)
    for component in ("signals", "leader"):
        found = deployment(component)
        found.update(apiVersion="apps/v1")
        found["metadata"].pop("namespace")
        found.pop("status")
        spec = found["spec"]
        spec["replicas"] = 0
        spec["selector"] = {"matchLabels": labels(component)}
        spec["template"]["metadata"] = {"labels": labels(component)}
        inner = spec["template"]["spec"]
        inner.pop("securityContext")
        inner["volumes"] = []
        create(kube, found)
    first = lease("leader-a_uid_1", 3)
    create(kube, {**first, "apiVersion": "coordination.k8s.io/v1"})
    for name in ("leader-a", "leader-b"):
        ready(kube, name)
    return kube


def create(kube: Kubectl, found: dict[str, Any]) -> None:
    kube.text("create", "-f", "-", stdin=json.dumps(found))


def ready(kube: Kubectl, name: str) -> None:
    """Create a leader pod that no scheduler takes, and say that it is ready."""
    meta = pod(name, "leader")["metadata"]
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": meta["labels"]},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "leader", "image": "none"}]},
    }
    create(kube, bare)
    conditions = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    kube.text("patch", "pod", name, "--subresource=status", "--type=merge", "-p", json.dumps(conditions))


def hold(kube: Kubectl, holder: str, epoch: int | None) -> None:
    notes = {"ratchet.dev/epoch": None if epoch is None else str(epoch)}
    change = {"metadata": {"annotations": notes}, "spec": {"holderIdentity": holder}}
    kube.text("patch", "lease", "ratchet-leader", "--type=merge", "-p", json.dumps(change))


def test_what_the_api_server_forbids_names_verb_resource_and_role(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kube = installed(namespace)

    def grant(name: str, *rule: str) -> None:
        cluster.kubectl("-n", namespace, "create", "role", name, *rule)
        cluster.kubectl("-n", namespace, "create", "rolebinding", name, f"--role={name}", "--user=bob")

    grant("look", "--verb=get,list", "--resource=deployments.apps,pods")
    grant("ask", "--verb=get", LEASES)
    plain = Kubectl.command

    def as_bob(self: Kubectl, *words: str, bounded: bool = True) -> list[str]:
        return [*plain(self, "--as=bob", bounded=bounded), *words]

    monkeypatch.setattr(Kubectl, "command", as_bob)
    assert main(["leader", "-n", namespace]) == Exit.OK, "what he may read is enough"
    assert "leader-a" in capsys.readouterr().out
    with pytest.raises(CommandFailed, match=r"bob.*may not patch leases\.coordination\.k8s\.io in namespace"):
        hold(kube, "bob", 9)
    for right in ("list", "patch"):
        assert main(["failover", "-n", namespace, "--within", "5"]) == Exit.UNREACHABLE
        told = capsys.readouterr().err
        assert f"kubectl create role ratchet-operator --verb={right} --resource=leases.coordination.k8s.io" in told
        grant(right, f"--verb={right}", LEASES)
    assert main(["status", "-n", "kube-system"]) == Exit.UNREACHABLE


def test_who_holds_the_lease_is_seen_as_it_changes(namespace: str) -> None:
    kube = installed(namespace)
    release = find(kube, None)
    before = release.lease()
    assert before is not None
    chronicle = Chronicle(SystemClock())
    with watching(release, chronicle):
        asked = chronicle.note("now").at
        hold(kube, "", None)
        hold(kube, "leader-b_uid_2", None)
        assert not led_by_another(chronicle, asked, before)
        hold(kube, "leader-b_uid_2", 4)
        assert chronicle.until(lambda: led_by_another(chronicle, asked, before), within_seconds=20)
        kube.text("delete", "lease", "ratchet-leader")
        assert chronicle.until(lambda: chronicle.since(0)[-1].what == "the lease was deleted", within_seconds=20)
    told = [moment.what for moment in chronicle.since(asked)]
    assert told == [
        "now",
        "the lease is free",
        "the lease is held by leader-b",
        "the lease shows epoch 4",
        "the lease was deleted",
    ]


def test_failover_that_no_leader_hears_is_withdrawn(namespace: str, capsys: pytest.CaptureFixture[str]) -> None:
    kube = installed(namespace)
    assert main(["failover", "-n", namespace, "--to", "leader-b", "--within", "1"]) == Exit.FOUND
    assert "nobody else led within 1 s; the wish is withdrawn" in capsys.readouterr().out
    left = kube.json("get", "lease", "ratchet-leader")["metadata"]["annotations"]
    assert "ratchet.dev/hand-over-to" not in left


def test_status_of_a_release_without_pods_says_what_is_missing(
    namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(namespace)
    assert main(["status", "-n", namespace, "-o", "json"]) == Exit.FOUND
    found = json.loads(capsys.readouterr().out)
    assert found["leader"]["pod"] == "leader-a"
    assert any("no signals pod of release ratchet is ready" in one for one in found["trouble"])


def test_what_is_not_there_and_who_is_not_known_are_told_apart(
    namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotFound):
        Kubectl(namespace=namespace).json("get", "lease", "none")
    assert main(["leader", "-n", namespace]) == Exit.FOUND
    assert f"no release of Ratchet in namespace {namespace}" in capsys.readouterr().err
    assert main(["leader", "--context", "nowhere"]) == Exit.USAGE
    assert main(["leader", "--kubeconfig", "/nowhere/at/all"]) == Exit.USAGE


def test_completion_offers_the_leaders_and_namespaces_that_are_there(
    namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(namespace)
    complete(["failover", "-n", namespace, "--to", ""])
    assert capsys.readouterr().out.splitlines() == ["leader-a", "leader-b", ":4"]
    complete(["status", "-n", namespace[:-1]])
    assert namespace in capsys.readouterr().out
