"""A release of the chart on the cluster of KUBECONFIG, as tests install it, look at it and audit it."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar

import pytest

from charts import helm
from tests.e2e.traffic import Account, Door, unfinished

ASKED = os.environ.get("E2E", "")
IMAGE = os.environ.get("E2E_IMAGE", "localhost/ratchet:dev")
VALUES = Path(os.environ.get("E2E_VALUES", helm.CHART / "ci/test-cluster-values.yaml"))
LOAD = shlex.split(os.environ.get("E2E_LOAD", ""))
FAULT = os.environ.get("E2E_FAULT", "")

asked = pytest.mark.skipif(ASKED not in ("quick", "all"), reason="E2E names no part of these tests: quick or all")
slow = pytest.mark.skipif(ASKED != "all", reason="not among the quick ones: E2E=all")
breaks = pytest.mark.skipif(not FAULT, reason="E2E_FAULT names no program that breaks this cluster")

READY_SECONDS = 180
CALL_SECONDS = 300
POLL_SECONDS = 0.4
T = TypeVar("T")


def run(*command: str, within: float = CALL_SECONDS) -> str:
    """Run a program and return what it printed. Raises AssertionError with its words if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=within, check=False)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{shlex.join(command)}: no end after {within} s") from None
    assert done.returncode == 0, f"{shlex.join(command)} ended with {done.returncode}: {done.stderr} {done.stdout}"
    return done.stdout


def fault(*arguments: str) -> None:
    """Break or mend the cluster."""
    run(FAULT, *arguments)


def until(what: Callable[[], T], *, within: float, tell: Callable[[], object] = str) -> T:
    """Return the first true value; no answer or an AssertionError means not yet. Raises AssertionError in the end."""
    deadline = time.monotonic() + within
    while True:
        try:
            value = what()
            if value:
                return value
            last: object = value
        except (AssertionError, OSError, HTTPException) as error:
            last = error
        assert time.monotonic() < deadline, f"not within {within} s; last: {last}; {tell()}"
        threading.Event().wait(POLL_SECONDS)


@dataclass(frozen=True, slots=True, order=True)
class Election:
    """Who began to lead, when, under which epoch, as its own log says."""

    epoch: int
    at: datetime
    pod: str


@dataclass(slots=True)
class Release:
    """One release of the name `ratchet`. options: of each install and upgrade."""

    namespace: str
    options: Sequence[str] = ()
    name: str = "ratchet"
    _secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def kubectl(self, *arguments: str, within: float = CALL_SECONDS) -> str:
        """Run kubectl in the namespace of the release. Raises AssertionError."""
        return run(helm.find("kubectl") or "kubectl", "--namespace", self.namespace, *arguments, within=within)

    def helm(self, *arguments: str) -> str:
        """Run helm there. Raises AssertionError."""
        return run(helm.find("helm") or "helm", "--namespace", self.namespace, *arguments)

    def get(self, kind: str, *arguments: str) -> Any:
        """Return an object, or the items of a list, as kubectl knows it."""
        found = json.loads(self.kubectl("get", kind, *arguments, "--output", "json"))
        return found.get("items", found)

    def begin(self) -> None:
        """Make the namespace, which refuses every pod that is not restricted, and install. Waits for nothing."""
        run(helm.find("kubectl") or "kubectl", "create", "namespace", self.namespace)
        self.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")
        self.helm("install", self.name, str(helm.CHART), *self.values())

    def upgrade(self, *more: str) -> None:
        """Upgrade to the same chart with further options. Waits for nothing."""
        self.helm("upgrade", self.name, str(helm.CHART), *self.values(), *more)

    def values(self) -> list[str]:
        """Return the options that every release here has."""
        repository, tag = IMAGE.rsplit(":", 1)
        image = ["--set", f"image.repository={repository},image.tag={tag}"]
        service = ["--set", "signals.service.type=NodePort,signals.service.nodePort=null"]
        return ["--values", str(VALUES), *image, *service, *self.options]

    def ready(self, within: float = READY_SECONDS) -> None:
        """Wait until every Deployment and StatefulSet is rolled out. Raises AssertionError with the pods."""
        for workload in ("deployment/ratchet-signals", "deployment/ratchet-leader", *self.bundled()):
            try:
                self.kubectl("rollout", "status", workload, f"--timeout={within}s", within=within + 10)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.kubectl('get', 'pods', '-o', 'wide')}") from None

    def bundled(self) -> list[str]:
        """Return the StatefulSets: database, Redis and simulator."""
        return [f"statefulset/{found['metadata']['name']}" for found in self.get("statefulsets")]

    def remove(self) -> None:
        """Take it away, with everything that a release leaves."""
        kubectl = helm.find("kubectl") or "kubectl"
        run(kubectl, "delete", "namespace", self.namespace, "--ignore-not-found", "--wait", "--timeout=180s")

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Return the pods of a component that are not on their way out."""
        found = self.get("pods", "--selector", f"app.kubernetes.io/component={component}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def running(self, component: str) -> list[str]:
        """Return the names of those that are ready."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods(component)
            if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        ]

    def secret(self, name: str) -> str:
        """Return a token of the release."""
        if not self._secrets:
            data = self.get("secret", "ratchet-tokens")["data"]
            self._secrets.update({key: base64.b64decode(value).decode() for key, value in data.items()})
        return self._secrets[name]

    def door(self) -> Door:
        """Return the service, by its port on each node."""
        port = self.get("service", "ratchet")["spec"]["ports"][0]["nodePort"]
        return Door([f"http://{address}:{port}" for address in self.nodes().values()], self.secret("api-token"))

    def nodes(self) -> dict[str, str]:
        """Return the nodes' addresses by name."""
        return {
            node["metadata"]["name"]: address["address"]
            for node in self.get("nodes")
            for address in node["status"]["addresses"]
            if address["type"] == "InternalIP"
        }

    def leader(self) -> dict[str, Any]:
        """Return the pod that leads. Raises AssertionError if none does."""
        holder = (self.get("lease", "ratchet-leader").get("spec") or {}).get("holderIdentity", "")
        found = [pod for pod in self.pods("leader") if holder.startswith(pod["metadata"]["name"] + "_")]
        assert found, f"no pod leads: {holder!r}"
        return found[0]

    def elections(self) -> list[Election]:
        """Return who began to lead, by the logs that can be read."""
        found = []
        for pod in self.get("pods", "--selector", "app.kubernetes.io/component=leader"):
            name = pod["metadata"]["name"]
            try:
                log = self.kubectl("logs", name, "--tail=-1", within=5)
            except AssertionError:  # its node is away
                continue
            for line in log.splitlines():
                if '"leader_elected"' in line:
                    told = json.loads(line)
                    found.append(Election(told["leader_epoch"], datetime.fromisoformat(told["ts"]), name))
        return sorted(found)

    def epoch(self) -> int:
        """Return the latest epoch."""
        return max(election.epoch for election in self.elections())

    def takeover(self, epoch: int, since: datetime, *, within: float) -> float:
        """Wait for the leader after an epoch; return and print the seconds from `since` to its beginning."""

        def next_one() -> Election | None:
            return next((found for found in self.elections() if found.epoch > epoch), None)

        found = until(next_one, within=within + 15)
        assert found is not None
        seconds = (found.at - since).total_seconds()
        print(f"takeover by {found.pod} under epoch {found.epoch} after {seconds:.2f} s")
        assert seconds <= within, f"{found} took {seconds} s, more than {within} s"
        return seconds

    def audit(self) -> None:
        """Ask every invariant, in a pod of the release. Raises AssertionError with those that are violated."""
        pod = until(lambda: self.running("leader"), within=60)[0]
        findings = json.loads(self.kubectl("exec", pod, "--", "sh", "-c", "ratchet verify --json || test $? -eq 1"))
        assert findings
        bad = [finding for finding in findings if finding["count"] or finding["skipped"]]
        assert bad == []

    def account_for(self, account: Account, *, within: float = 90) -> None:
        """Every signal was answered, has one id, and comes to an end. Raises AssertionError."""
        assert account.unanswered == []
        assert account.sent > 0
        assert [key for key, ids in account.ids.items() if len(ids) > 1] == [], "doubled"
        door, left = self.door(), sorted(account.signals)

        def over() -> bool:
            left[:] = [line.split()[0] for line in unfinished(door, left)]
            return not left

        until(over, within=within, tell=lambda: unfinished(door, left)[:5])
        print(f"{account.sent} messages, {len(account.signals)} signals, {len(account.failures)} failed requests")

    def unharmed(self, account: Account) -> None:
        """The same, and no request failed at all."""
        assert not account.failures, "\n".join([f"{len(account.failures)} failed requests:", *account.failures[:8]])
        self.account_for(account)


def now() -> datetime:
    """Return the time, as the logs tell it."""
    return datetime.now(UTC)
