"""The release during one run of a drill: what is seen, what is done to it, and whether it stands steady."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass, field
from datetime import datetime

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed
from ratchet.clock import Clock
from ratchet.kubectl.kubectl import Kubectl
from ratchet.kubectl.release import Lease, Object, Pod, Release
from ratchet.kubectl.watching import Chronicle

STORES = ("postgres", "redis", "simulator")
LOOK_SECONDS = 0.4
FAULT_SECONDS = 120.0


class Inconclusive(Exception):
    """The drill cannot show what it is for, here and now; the message says why."""


@dataclass(slots=True, kw_only=True)
class Scene:
    """One run. before: the lease before the fault. anchor: the node that must stay whole, with stores and sender."""

    release: Release
    chronicle: Chronicle
    clock: Clock
    before: Lease | None = None
    fault_command: str | None = None
    outage_seconds: float = 20.0
    anchor: str | None = None
    fault_at: float = 0.0
    began: datetime | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def kube(self) -> Kubectl:
        """kubectl."""
        return self.release.kube

    @property
    def led(self) -> Lease:
        """The lease before the fault. Raises Inconclusive if leaders are elected elsewhere."""
        if self.before is None:
            raise Inconclusive(
                "leaders are elected on a row of the database (leader.backend=database): no Lease to watch"
            )
        return self.before

    def begin(self, what: str) -> None:
        """Take note that the fault is made now; times count from here."""
        self.fault_at = self.chronicle.note(what).at
        self.began = self.began or self.clock.now()

    def led_again(self) -> bool:
        """Whether a later epoch than the one before is seen since the fault."""
        before = self.led.epoch or 0
        return any(m.epoch is not None and m.epoch > before for m in self.chronicle.since(self.fault_at))

    def outside(self, *words: str) -> None:
        """Run the command that breaks and mends what kubectl cannot. Raises Inconclusive."""
        if self.fault_command is None:
            raise Inconclusive(
                f"kubectl cannot do `{' '.join(words)}`: give a command that can, with --fault-command (see --list)"
            )
        try:
            done = subprocess.run(
                [*self.fault_command.split(), *words],
                capture_output=True,
                text=True,
                timeout=FAULT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Inconclusive(f"{self.fault_command} {' '.join(words)}: {error}") from error
        if done.returncode != 0:
            told = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
            raise Inconclusive(f"{self.fault_command} {' '.join(words)}: {told[0]}")

    def steady(self) -> bool:
        """Whether everything runs as it should and somebody leads; asks not more often than it pays."""
        threading.Event().wait(LOOK_SECONDS)
        try:
            return unsteady(self.release) == ""
        except CommandFailed as failure:
            if failure.exit_code is not Exit.UNREACHABLE:
                raise
            return False  # the API server may be away for a moment

    def pod(self, component: str) -> Pod:
        """Return the release's pod of a store. Raises Inconclusive if it has none."""
        for pod in self.release.pods(component):
            if not pod.finished:
                return pod
        raise Inconclusive(f"the release has no {component} of its own: break the one that it uses by hand")


def unsteady(release: Release) -> str:
    """Return what is not as it should be, in words; empty if everything is."""
    kinds = "deployments,statefulsets,pods" + (",leases" if release.lease_name else "")
    found = release.kube.json("get", kinds, "--selector", release.selector)["items"]
    pods = [Pod(one) for one in found if one["kind"] == "Pod"]
    for one in found:
        if one["kind"] in ("Deployment", "StatefulSet") and not _whole(one):
            return f"{one['kind'].lower()}/{one['metadata']['name']} is not complete"
    for pod in pods:
        if pod.component in ("signals", "leader", *STORES) and not pod.ready:
            return f"{pod.name} is {pod.state}"
    if release.lease_name:
        # One that a leader had to make again has no labels.
        lease = next((Lease(one) for one in found if one["kind"] == "Lease"), None) or release.lease()
        if lease is None or lease.epoch is None or lease.pod not in {pod.name for pod in pods if pod.ready}:
            return "nobody leads"
    return ""


def _whole(workload: Object) -> bool:
    status, wanted = workload.get("status", {}), workload["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    counts = [status.get(name, 0) for name in ("replicas", "readyReplicas", "updatedReplicas")]
    return seen and counts == [wanted] * 3


def nodes_of_stores(release: Release) -> set[str]:
    """Return the nodes that carry the release's stores."""
    return {pod.node for pod in release.pods(*STORES) if pod.node and not pod.finished}
