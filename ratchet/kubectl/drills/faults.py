"""How each drill's fault is made, when it is over, and how it is mended.

Each is a context: inside, the fault is there, and what is yielded says whether the release has recovered; leaving it
mends what can be mended.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ratchet.cli.output import CommandFailed
from ratchet.kubectl.drills.definitions import CHILD
from ratchet.kubectl.drills.scene import Inconclusive, Scene, nodes_of_stores
from ratchet.kubectl.kubectl import NotFound
from ratchet.kubectl.leading import led_by_another, wish
from ratchet.kubectl.release import COMPONENT

Recovered = Callable[[], bool]
Fault = Callable[[Scene], AbstractContextManager[Recovered]]

DRAIN_SECONDS = 180.0
PUT_BACK_SECONDS = 5.0
CUT_SECONDS = 20.0
"""A node stays cut for at least so long."""

HANDED_OVER_SECONDS = 6.0
"""After a hand-over: until the one that handed over watches the lease again."""

_KEPT = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace")


@contextmanager
def delete_leader(scene: Scene) -> Iterator[Recovered]:
    """Delete the leader's pod."""
    pod = scene.led.pod
    scene.begin(f"kubectl delete pod {pod}")
    scene.kube.text("delete", "pod", pod, "--wait=false")
    yield scene.led_again


@contextmanager
def kill_leader(scene: Scene) -> Iterator[Recovered]:
    """SIGKILL the leader's process; in the end replace its pod, so that no back-off slows the next run."""
    pod = scene.led.pod
    _signal(scene, pod, "KILL", "kill", f"SIGKILL to the leader in {pod}")
    try:
        yield scene.led_again
    finally:
        _forget(scene, pod)


@contextmanager
def pause_leader(scene: Scene) -> Iterator[Recovered]:
    """SIGSTOP the leader's process until another leads, then SIGCONT."""
    pod = scene.led.pod
    try:
        _signal(scene, pod, "STOP", "freeze", f"SIGSTOP to the leader in {pod}")
        yield scene.led_again
    finally:
        _go_on(scene, pod)


@contextmanager
def delete_lease(scene: Scene) -> Iterator[Recovered]:
    """Delete the Lease; put it back if no leader may."""
    name = str(scene.release.lease_name)
    meta = scene.led.raw["metadata"]
    bare: dict[str, Any] = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            "labels": meta.get("labels", {}),
            "annotations": {key: value for key, value in meta.get("annotations", {}).items() if key in _KEPT},
        },
    }
    scene.begin(f"kubectl delete lease {name}")
    scene.kube.text("delete", "lease", name)
    try:
        threading.Event().wait(PUT_BACK_SECONDS)
    finally:
        if scene.release.lease() is None:
            # As the chart's own tool would own it, or its next upgrade would find a conflict.
            scene.kube.text("apply", "--server-side", "--field-manager=helm", "-f", "-", stdin=json.dumps(bare))
            scene.chronicle.note(f"the Lease is put back: no leader made it within {PUT_BACK_SECONDS:.0f} s")
    yield scene.led_again


@contextmanager
def rollout(scene: Scene) -> Iterator[Recovered]:
    """Restart both Deployments by a rolling update."""
    names = [f"deployment/{one['metadata']['name']}" for one in (scene.release.signals, scene.release.leader)]
    scene.begin(f"kubectl rollout restart {' '.join(names)}")
    scene.kube.text("rollout", "restart", *names)
    yield scene.steady


@contextmanager
def scale_down(scene: Scene) -> Iterator[Recovered]:
    """Add a signal pod, wait for it, and take one away."""
    name = f"deployment/{scene.release.signals['metadata']['name']}"
    replicas = len([pod for pod in scene.release.pods("signals") if pod.ready])
    scene.kube.text("scale", name, f"--replicas={replicas + 1}")
    try:
        if not scene.chronicle.until(scene.steady, within_seconds=DRAIN_SECONDS):
            raise Inconclusive("a further signal pod does not become ready: has the cluster room for it?")
        scene.begin(f"kubectl scale {name} --replicas={replicas}")
    finally:
        scene.kube.text("scale", name, f"--replicas={replicas}")
    yield scene.steady


@contextmanager
def drain_node(scene: Scene) -> Iterator[Recovered]:
    """Drain the leader's node of the release's pods."""
    node = _storeless_node_of_the_leader(scene)
    scene.begin(f"kubectl drain {node}")
    try:
        scene.kube.text(
            "drain",
            node,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            f"--pod-selector={scene.release.selector},{COMPONENT}!=test",
            f"--timeout={DRAIN_SECONDS:.0f}s",
            seconds=DRAIN_SECONDS + 10,
            bounded=False,
        )
        scene.chronicle.note(f"{node} is drained")
        yield scene.steady
    finally:
        scene.kube.text("uncordon", node)
        scene.chronicle.note(f"kubectl uncordon {node}")


@contextmanager
def restart_postgres(scene: Scene) -> Iterator[Recovered]:
    """Delete the pod of the bundled PostgreSQL."""
    yield _restart(scene, "postgres")


@contextmanager
def restart_redis(scene: Scene) -> Iterator[Recovered]:
    """Delete the pod of the bundled Redis."""
    yield _restart(scene, "redis")


@contextmanager
def api_outage(scene: Scene) -> Iterator[Recovered]:
    """Hang the API server for a while; times count from its return."""
    before = scene.led.pod
    scene.begin(f"the API server hangs; {before} leads")
    try:
        scene.outside("hang-api")
        threading.Event().wait(scene.outage_seconds)
    finally:
        if scene.fault_command is not None:
            scene.outside("resume-api")
    scene.begin("the API server answers again")
    yield scene.led_again


@contextmanager
def cut_node(scene: Scene) -> Iterator[Recovered]:
    """Cut the leader's node from the network until another leads."""
    if scene.fault_command is None:
        scene.outside("cut", "NODE")
    node = _storeless_node_of_the_leader(scene)
    try:
        scene.outside("cut", node)
        scene.begin(f"{node} is cut from the network; {scene.led.pod} leads there")
        yield scene.led_again
        rest = CUT_SECONDS - (scene.clock.monotonic() - scene.fault_at)
        threading.Event().wait(max(0.0, rest))
    finally:
        scene.outside("heal", node)
        scene.chronicle.note(f"{node} has its network again")


FAULTS: Mapping[str, Fault] = {
    "delete-leader": delete_leader,
    "kill-leader": kill_leader,
    "pause-leader": pause_leader,
    "delete-lease": delete_lease,
    "rollout": rollout,
    "scale-down": scale_down,
    "drain-node": drain_node,
    "restart-postgres": restart_postgres,
    "restart-redis": restart_redis,
    "api-outage": api_outage,
    "cut-node": cut_node,
}
"""The fault of each drill."""


def _signal(scene: Scene, pod: str, name: str, action: str, begins: str = "") -> None:
    """Send a signal to the leader's process: from inside, where process 1 cannot be reached but its child can.

    begins: what the fault is called, if this is it. Times count from before a call of kubectl, so that its own time is
    in them; but from the end of a command from outside, which may have to prepare for long.
    """
    if scene.fault_command is not None:
        scene.outside(action, scene.release.namespace, pod, "leader")
        if begins:
            scene.begin(begins)
        return
    if begins:
        scene.begin(begins)
    done = scene.kube.inside(pod, "leader", "sh", "-c", f"kill -{name} {CHILD}")
    if done.code != 0:
        raise Inconclusive(f"the leader's process in {pod} cannot be sent {name}: {done.err or done.code}")


def _go_on(scene: Scene, pod: str) -> None:
    """Let a paused leader go on; if it cannot be told to, its liveness probe starts it anew a minute later."""
    try:
        _signal(scene, pod, "CONT", "thaw")
        scene.chronicle.note(f"the old leader in {pod} goes on")
    except (Inconclusive, CommandFailed) as failure:
        scene.notes.append(f"the old leader was not told to go on: {failure}")


def _forget(scene: Scene, pod: str) -> None:
    try:
        scene.kube.text("delete", "pod", pod, "--wait=false")
    except NotFound:
        return
    except CommandFailed as failure:
        scene.notes.append(f"the killed pod could not be replaced: {failure}")


def _restart(scene: Scene, component: str) -> Recovered:
    pod = scene.pod(component)
    uid = pod.raw["metadata"]["uid"]
    scene.begin(f"kubectl delete pod {pod.name}")
    scene.kube.text("delete", "pod", pod.name, "--wait=false")

    def recovered() -> bool:
        now = [one for one in scene.release.pods(component) if not one.finished]
        return all(one.raw["metadata"]["uid"] != uid for one in now) and scene.steady()

    return recovered


def _storeless_node_of_the_leader(scene: Scene) -> str:
    """Return the leader's node, after a hand-over if that carries a store or the sender. Raises Inconclusive."""
    taken = nodes_of_stores(scene.release) | ({scene.anchor} if scene.anchor else set())
    leaders = {pod.name: pod.node for pod in scene.release.pods("leader") if pod.ready}
    free = {name: node for name, node in leaders.items() if node not in taken}
    lease = scene.led
    if lease.pod in free:
        return free[lease.pod]
    if not free:
        raise Inconclusive(
            "every node with a leader also carries a store of the release or the sender "
            f"({', '.join(sorted(taken))}): spread them over more nodes, or bring the stores together on one"
        )
    name, node = next(iter(free.items()))
    began = scene.chronicle.note(f"before the fault: asked to hand over to {name}, whose node carries no store").at
    wish(scene.release, name)
    if not scene.chronicle.until(lambda: led_by_another(scene.chronicle, began, lease), within_seconds=60):
        raise Inconclusive(f"{lease.pod} did not hand over to {name}")
    # The epoch is shown with the next renewal. Whoever has just handed over looks away for a moment, and counts a whole
    # lease from its next look: the fault waits, or it would measure that.
    scene.chronicle.until(lambda: _shows_epoch(scene, name), within_seconds=20)
    threading.Event().wait(HANDED_OVER_SECONDS)
    scene.before = scene.release.lease()
    return node


def _shows_epoch(scene: Scene, pod: str) -> bool:
    lease = scene.release.lease()
    return lease is not None and lease.pod == pod and (lease.epoch or 0) > (scene.led.epoch or 0)
