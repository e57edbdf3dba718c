"""An installed release as kubectl shows it: workloads, pods, Lease; and how to ask the product inside a pod."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed
from ratchet.kubectl.kubectl import EXEC_SECONDS, Kubectl, NotFound

INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
NAME = "app.kubernetes.io/name"
PART = "app.kubernetes.io/part-of=ratchet"
EPOCH = "ratchet.dev/epoch"
HAND_OVER_TO = "ratchet.dev/hand-over-to"

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod."""

    raw: Object

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.raw["metadata"]["name"])

    @property
    def component(self) -> str:
        """What it is: signals, leader, postgres, redis, simulator, migrate, test."""
        return str(self.raw["metadata"].get("labels", {}).get(COMPONENT, ""))

    @property
    def node(self) -> str:
        """Where it runs, empty while it is not placed."""
        return str(self.raw["spec"].get("nodeName", ""))

    @property
    def leaving(self) -> bool:
        """Whether its end was asked for."""
        return "deletionTimestamp" in self.raw["metadata"]

    @property
    def finished(self) -> bool:
        """Whether it ran to its end."""
        return self.raw.get("status", {}).get("phase") in ("Succeeded", "Failed")

    @property
    def ready(self) -> bool:
        """Whether it takes part."""
        conditions = self.raw.get("status", {}).get("conditions", [])
        return not self.leaving and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    @property
    def restarts(self) -> int:
        """How often its containers were started again."""
        return sum(int(c["restartCount"]) for c in self.raw.get("status", {}).get("containerStatuses", []))

    @property
    def state(self) -> str:
        """One word, as `kubectl get pods` has it."""
        if self.leaving:
            return "Terminating"
        for container in self.raw.get("status", {}).get("containerStatuses", []):
            for kind in ("waiting", "terminated"):
                if reason := container.get("state", {}).get(kind, {}).get("reason"):
                    return str(reason)
        return str(self.raw.get("status", {}).get("phase", "Unknown"))


@dataclass(frozen=True, slots=True)
class Lease:
    """The record of who leads."""

    raw: Object

    @property
    def holder(self) -> str:
        """The identity of whoever leads; empty if nobody does."""
        return str(self.raw.get("spec", {}).get("holderIdentity") or "")

    @property
    def pod(self) -> str:
        """The pod of whoever leads."""
        return self.holder.partition("_")[0]

    @property
    def epoch(self) -> int | None:
        """The epoch that the holder shows; a moment after it took the lease."""
        shown = self.raw["metadata"].get("annotations", {}).get(EPOCH)
        return int(shown) if shown is not None and shown.isdigit() else None

    @property
    def duration_seconds(self) -> int:
        """How long after its last renewal others wait."""
        return int(self.raw.get("spec", {}).get("leaseDurationSeconds") or 0)

    @property
    def renewed(self) -> str:
        """When it was renewed, by the holder's clock."""
        return str(self.raw.get("spec", {}).get("renewTime") or "")

    @property
    def transitions(self) -> int:
        """How often the holder changed."""
        return int(self.raw.get("spec", {}).get("leaseTransitions") or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release. lease_name: None if its leaders are elected on a row of the database."""

    kube: Kubectl
    name: str
    namespace: str
    app: str
    signals: Object
    leader: Object
    lease_name: str | None

    @property
    def selector(self) -> str:
        """The labels of everything that belongs to it."""
        return f"{INSTANCE}={self.name},{NAME}={self.app}"

    @property
    def image(self) -> str:
        """The image of its signal pods."""
        return str(self.signals["spec"]["template"]["spec"]["containers"][0]["image"])

    def pods(self, *components: str) -> list[Pod]:
        """Return its pods, of some components or all. Raises CommandFailed."""
        found = [Pod(raw) for raw in self.kube.json("get", "pods", "--selector", self.selector)["items"]]
        return [pod for pod in found if not components or pod.component in components]

    def workload(self, kind: str, component: str) -> Object | None:
        """Return its Deployment or StatefulSet of a component, if there is one. Raises CommandFailed."""
        found = self.kube.json("get", kind, "--selector", f"{self.selector},{COMPONENT}={component}")["items"]
        return found[0] if found else None

    def lease(self) -> Lease | None:
        """Return the Lease; None if it is not there or not used. Raises CommandFailed."""
        if self.lease_name is None:
            return None
        try:
            return Lease(self.kube.json("get", "lease", self.lease_name))
        except NotFound:
            return None

    def ask(self, *words: str, component: str = "signals", seconds: float = EXEC_SECONDS) -> Any:
        """Return the data that `ratchet WORDS --json` prints in a ready pod. Raises CommandFailed."""
        return self._answer(words, self._ready_pod(component), seconds)

    def _ready_pod(self, component: str) -> Pod:
        for pod in self.pods(component):
            if pod.ready:
                return pod
        raise CommandFailed(
            f"no {component} pod of release {self.name} is ready in namespace {self.namespace}: "
            f"kubectl -n {self.namespace} get pods -l {COMPONENT}={component}",
            Exit.UNREACHABLE,
        )

    def _answer(self, words: Sequence[str], pod: Pod, seconds: float) -> Any:
        done = self.kube.inside(pod.name, pod.component, "ratchet", *words, "--json", seconds=seconds)
        if done.code not in (Exit.OK, Exit.FOUND) or not done.out.strip():
            told = done.err.removeprefix("error: ") or f"ended with {done.code}"
            code = done.code if done.code in (Exit.USAGE, Exit.UNREACHABLE, Exit.CONFIGURATION) else Exit.FOUND
            raise CommandFailed(f"`ratchet {' '.join(words)}` in {pod.name}: {told}", Exit(code))
        try:
            return json.loads(done.out)
        except ValueError as error:
            raise CommandFailed(f"`ratchet {' '.join(words)}` in {pod.name}: no JSON: {error}", Exit.FOUND) from error


def find(kube: Kubectl, name: str | None) -> Release:
    """Return the release of that name; without a name, the only one. Raises CommandFailed."""
    found = kube.json("get", "deployments", "--selector", PART)["items"]
    by_name: dict[str, dict[str, Object]] = {}
    for one in found:
        labels = one["metadata"]["labels"]
        by_name.setdefault(labels[INSTANCE], {})[labels.get(COMPONENT, "")] = one
    whole = {key: parts for key, parts in by_name.items() if {"signals", "leader"} <= parts.keys()}
    if name is None and len(whole) > 1:
        raise CommandFailed(f"several releases: {', '.join(sorted(whole))}; choose with --release", Exit.USAGE)
    chosen = name or next(iter(whole), None)
    if chosen is None or chosen not in whole:
        what = f"release {name}" if name else "release of Ratchet"
        raise CommandFailed(
            f"there is no {what} in {_namespace(kube)}: choose with -n, or look with "
            f"`kubectl get deployments -A -l {PART}`",
            Exit.FOUND,
        )
    return _release(kube, chosen, whole[chosen])


def _release(kube: Kubectl, name: str, parts: Mapping[str, Object]) -> Release:
    leader = parts["leader"]
    environment = dict(_environment(leader))
    return Release(
        kube=kube,
        name=name,
        namespace=leader["metadata"]["namespace"],
        app=leader["metadata"]["labels"][NAME],
        signals=parts["signals"],
        leader=leader,
        lease_name=environment.get("RATCHET_LEADER__LEASE_NAME"),
    )


def _environment(workload: Object) -> Iterator[tuple[str, str]]:
    for one in workload["spec"]["template"]["spec"]["containers"][0].get("env", []):
        if "value" in one:
            yield one["name"], one["value"]


def _namespace(kube: Kubectl) -> str:
    """Return how the place is called in which nothing was found."""
    if kube.namespace is not None:
        return f"namespace {kube.namespace}"
    try:
        found = kube.text("config", "view", "--minify", "-o", "jsonpath={..namespace}")
    except CommandFailed:
        return "this namespace"
    return f"namespace {found.strip() or 'default'}"
