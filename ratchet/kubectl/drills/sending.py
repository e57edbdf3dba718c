"""The pod that sends signals during a drill, and what its messages came to."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed
from ratchet.clock import Clock
from ratchet.kubectl.kubectl import NotFound
from ratchet.kubectl.release import COMPONENT, INSTANCE, NAME, Object, Release

STOP_FILE = "/tmp/stop"
LIMIT_SECONDS = 7200
START_SECONDS = 120.0
END_SECONDS = 420.0
STOP_SECONDS = 90.0
LOOK_SECONDS = 1.0
MOST_PROBLEMS = 8
EXECUTED = ("executed", "partially_executed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What messages came to. client_errors: tries that no answer settled; lost: accepted, but without an end.

    problems: what senders were told when a try failed (the last one of each message), with how many messages.
    """

    sent: int = 0
    accepted: int = 0
    executed: int = 0
    doubled: int = 0
    lost: int = 0
    client_errors: int = 0
    refused: int = 0
    unsent: int = 0
    longest_wait_seconds: float = 0.0
    problems: dict[str, int] = field(default_factory=dict)


def tally(lines: Iterable[Mapping[str, Any]]) -> Tally:
    """Return what messages came to."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    ended: dict[str, str] = {}
    endless: set[str] = set()
    errors = refused = unsent = 0
    problems: Counter[str] = Counter()
    longest = 0.0
    for line in lines:
        errors += int(line["tries"]) - (line["answer"] != "unsent")
        refused += line["answer"] == "refused"
        unsent += line["answer"] == "unsent"
        longest = max(longest, line["took"])
        if line.get("problem"):
            problems[line["problem"]] += 1
        if line["id"] is None:
            ids.setdefault(line["fingerprint"], set())
            continue
        ids[line["fingerprint"]].add(line["id"])
        if line["ended"]:
            ended.setdefault(line["id"], line["outcome"])
        elif not line["repeat"]:
            endless.add(line["id"])
    return Tally(
        sent=len(ids),
        accepted=sum(1 for found in ids.values() if found),
        executed=sum(outcome in EXECUTED for outcome in ended.values()),
        doubled=sum(len(found) > 1 for found in ids.values()),
        lost=len(endless - ended.keys()),
        client_errors=errors,
        refused=refused,
        unsent=unsent,
        longest_wait_seconds=longest,
        problems=dict(problems.most_common(MOST_PROBLEMS)),
    )


class SenderPod:
    """The pod. It has no controller: nothing makes it again."""

    def __init__(self, release: Release, clock: Clock, *, accounts: Sequence[str], rate: float) -> None:
        self._release = release
        self._kube = release.kube
        self._clock = clock
        self._accounts = accounts
        self._rate = rate
        self.name = f"{release.leader['metadata']['name'].removesuffix('-leader')}-drill-sender"

    def start(self, node: str | None) -> None:
        """Start it, on a node or anywhere, and wait for its first signals. Raises CommandFailed."""
        self.remove()
        service = self._service()
        manifest = sender_manifest(
            self._release, self.name, f"http://{service}", accounts=self._accounts, rate=self._rate, node=node
        )
        self._kube.text("create", "-f", "-", stdin=json.dumps(manifest))
        self._until(lambda: self.lines() != [] or self._ended(), START_SECONDS)
        if not self.lines():
            raise CommandFailed(f"the sender sends nothing: {self._last_words()}", Exit.FOUND)

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has printed; nothing while it starts."""
        try:
            text = self._kube.text("logs", self.name, seconds=60)
        except CommandFailed:
            return []
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def stop(self) -> list[dict[str, Any]]:
        """End the sending, wait until the end of every signal is known, and return all lines. Raises CommandFailed."""
        self._until(self._told_to_stop, STOP_SECONDS)
        if not self._until(self._at_its_end, END_SECONDS):
            raise CommandFailed(f"the sender does not come to its end: {self._last_words()}", Exit.FOUND)
        return [line for line in self.lines() if "id" in line]

    def remove(self) -> None:
        """Delete it, if it is there."""
        try:
            self._kube.text("delete", "pod", self.name, "--grace-period=1", "--wait=true", seconds=60)
        except NotFound:
            return

    def _last_words(self) -> str:
        """Return what its pod says, before it is removed."""
        try:
            said = self._kube.text("logs", self.name, "--tail=3").strip()
        except CommandFailed as failure:
            said = str(failure)
        return " ".join(said.split()) or "its log is empty"

    def _told_to_stop(self) -> bool:
        """Tell it, if the API server answers just now."""
        try:
            return self._kube.inside(self.name, "sender", "touch", STOP_FILE).code == 0
        except CommandFailed as failure:
            if failure.exit_code is not Exit.UNREACHABLE:
                raise
            return False

    def _ended(self) -> bool:
        phase = self._kube.text("get", "pod", self.name, "-o", "jsonpath={.status.phase}")
        return phase in ("Failed", "Succeeded")

    def _at_its_end(self) -> bool:
        return self.lines()[-1:] == [{"end": True}]

    def _until(self, condition: Any, seconds: float) -> bool:
        give_up = self._clock.monotonic() + seconds
        while not condition():
            if self._clock.monotonic() > give_up:
                return False
            threading.Event().wait(LOOK_SECONDS)
        return True

    def _service(self) -> str:
        found = self._release.workload("service", "signals")
        if found is None:
            raise CommandFailed("the release has no Service for its signal pods", Exit.FOUND)
        return f"{found['metadata']['name']}:{found['spec']['ports'][0]['port']}"


def sender_manifest(
    release: Release, name: str, url: str, *, accounts: Sequence[str], rate: float, node: str | None
) -> dict[str, Any]:
    """Return the pod: the image and the safety of a signal pod, the network of the chart's own test."""
    spec = release.signals["spec"]["template"]["spec"]
    container = spec["containers"][0]
    words = ["--accounts", ",".join(accounts), "--rate", str(rate), "--stop-file", STOP_FILE]
    placed = {} if node is None else {"nodeSelector": {"kubernetes.io/hostname": node}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {INSTANCE: release.name, NAME: release.app, COMPONENT: "test"},
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIMIT_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "serviceAccountName": spec.get("serviceAccountName", "default"),
            "securityContext": spec.get("securityContext", {}),
            "imagePullSecrets": spec.get("imagePullSecrets", []),
            "tolerations": spec.get("tolerations", []),
            **placed,
            "containers": [
                {
                    "name": "sender",
                    "image": container["image"],
                    "imagePullPolicy": container.get("imagePullPolicy", "IfNotPresent"),
                    "args": ["python", "-m", "ratchet.kubectl.drills.sender", *words, "--limit", str(LIMIT_SECONDS)],
                    "env": [
                        {"name": "RATCHET_URL", "value": url},
                        {"name": "RATCHET_HOME", "value": "/tmp"},
                        {"name": "RATCHET_API_TOKEN_FILE", "value": "/run/secrets/ratchet/api-token"},
                    ],
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "32Mi"},
                        "limits": {"cpu": "1", "memory": "256Mi", "ephemeral-storage": "128Mi"},
                    },
                    "securityContext": container.get("securityContext", {}),
                    "volumeMounts": [
                        {"name": "secrets", "mountPath": "/run/secrets/ratchet", "readOnly": True},
                        {"name": "tmp", "mountPath": "/tmp"},
                    ],
                }
            ],
            "volumes": [
                {"name": "secrets", "projected": {"defaultMode": 0o440, "sources": [_token_source(spec)]}},
                {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
            ],
        },
    }


def _token_source(spec: Object) -> Object:
    """Return where the signal pods have the token of the API from."""
    for volume in spec.get("volumes", []):
        for source in volume.get("projected", {}).get("sources", []):
            if any(item.get("path") == "api-token" for item in source.get("secret", {}).get("items", [])):
                found: Object = source
                return found
    raise CommandFailed("the signal pods have no API token in a Secret, so nothing can be sent", Exit.FOUND)
