"""What each drill is: the hypothesis, the thresholds that judge it, and the same by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Measure(StrEnum):
    """What the recovery time of a drill is."""

    TAKEOVER = "takeover"  # from the fault to the next leader's epoch
    WAIT = "wait"  # the longest that a sender waited for its receipt around the fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One drill.

    The 95th percentile of the recovery time may be `leases` times the lease's duration plus `seconds`. client_errors:
    most failed tries over all runs; None if they are expected and the senders' repeats have to cope with them.
    by_hand: commands, one a line, for release `ratchet` in the current namespace; expect: what is seen then.
    """

    name: str
    does: str
    hypothesis: str
    measure: Measure
    leases: int = 0
    seconds: float
    client_errors: int | None = 0
    by_hand: str
    expect: str
    outside: str = ""
    """The action that only a command from outside the cluster can do, if it is one."""

    def limit_seconds(self, lease_seconds: int) -> float:
        """Return the limit of the recovery time."""
        return self.leases * lease_seconds + self.seconds

    @property
    def limit_in_words(self) -> str:
        """The limit, for people."""
        if not self.leases:
            return f"{self.seconds:g} s"
        lease = "the lease" if self.leases == 1 else f"{self.leases} leases"
        return f"{lease} + {self.seconds:g} s"


CHILD = '$(grep -l "^PPid:.1$" /proc/[0-9]*/status | cut -d/ -f3)'
"""The program itself: what process 1, which only hands on signals, has started."""

_LEADER = "leader=$(kubectl get lease ratchet-leader -o jsonpath='{.spec.holderIdentity}' | cut -d_ -f1)"
_NODE = "node=$(kubectl get pod $leader -o jsonpath='{.spec.nodeName}')"

_ALL = (
    Drill(
        name="delete-leader",
        does="deletes the leader's pod, in order",
        hypothesis="The leader ends its duties and gives the lease back; the standby leads at once. Senders notice "
        "nothing.",
        measure=Measure.TAKEOVER,
        seconds=5,
        by_hand=f"{_LEADER}\nkubectl delete pod $leader --wait=false\nkubectl get lease ratchet-leader -w",
        expect="The holder becomes empty, then the standby's name, within a second or two; the event LeaderReleased, "
        "then "
        "LeaderElected with an epoch that is one higher.",
    ),
    Drill(
        name="kill-leader",
        does="sends SIGKILL to the leader's process",
        hypothesis="Nothing is given back. The standby, or the container that is started again, leads when the lease "
        "has run "
        "out at the latest. What was in work is taken over. Senders notice nothing.",
        measure=Measure.TAKEOVER,
        leases=1,
        seconds=1,
        by_hand=f"{_LEADER}\nkubectl exec $leader -c leader -- sh -c 'kill -KILL {CHILD}'\n"
        "kubectl get lease ratchet-leader -w",
        expect="The renewals stop; the pod shows one more restart; another identity holds the lease, soon if it is "
        "the same pod's new container, else when the lease has run out.",
    ),
    Drill(
        name="pause-leader",
        does="stops the leader's process beyond its lease, then lets it go on",
        hypothesis="The standby leads when the lease has run out. The old leader, when it goes on, writes nothing "
        "more: its "
        "epoch is over. Senders notice nothing.",
        measure=Measure.TAKEOVER,
        leases=1,
        seconds=1,
        by_hand=f"{_LEADER}\nkubectl exec $leader -c leader -- sh -c 'kill -STOP {CHILD}'\n"
        "kubectl get lease ratchet-leader -w      # until the holder changes\n"
        f"kubectl exec $leader -c leader -- sh -c 'kill -CONT {CHILD}'\nkubectl ratchet verify",
        expect="The holder changes after the lease's duration; after CONT the old leader tells LeadershipLost and "
        "stands by; "
        "invariant I17 counts nothing. Do not wait for more than a minute, or the liveness probe ends the container.",
    ),
    Drill(
        name="delete-lease",
        does="deletes the Lease itself",
        hypothesis="The leader stops, since nothing says any more that it leads. With the right to create the Lease "
        "the next "
        "leader makes it again when the old one must have stopped; without it the Lease is put back after five "
        "seconds, as "
        "`helm upgrade` would. The epoch goes on rising. Senders notice nothing.",
        measure=Measure.TAKEOVER,
        leases=1,
        seconds=5,
        by_hand="kubectl get lease ratchet-leader -o yaml > lease.yaml\nkubectl delete lease ratchet-leader\n"
        "helm upgrade ratchet charts/ratchet --reuse-values    # or: kubectl create -f lease.yaml, without its spec",
        expect="The event LeadershipLost: the lease was deleted. After the Lease is there again, LeaderElected; its "
        "transitions begin anew, the epoch does not.",
    ),
    Drill(
        name="rollout",
        does="restarts all signal pods and all leaders by a rolling update",
        hypothesis="New pods serve before old ones go, and those answer until no request comes any more: no request "
        "fails.",
        measure=Measure.WAIT,
        seconds=5,
        by_hand="kubectl rollout restart deployment/ratchet-signals deployment/ratchet-leader\n"
        "kubectl rollout status deployment/ratchet-signals\nkubectl rollout status deployment/ratchet-leader",
        expect="Pods change one by one; no sender gets a refused connection or an error.",
    ),
    Drill(
        name="scale-down",
        does="adds a signal pod and takes one away again",
        hypothesis="The pod that goes answers until no request comes any more: no request fails.",
        measure=Measure.WAIT,
        seconds=5,
        by_hand="kubectl scale deployment/ratchet-signals --replicas=3\nkubectl rollout status "
        "deployment/ratchet-signals\n"
        "kubectl scale deployment/ratchet-signals --replicas=2",
        expect="One pod is Terminating for about its drain delay; no sender gets an error.",
    ),
    Drill(
        name="drain-node",
        does="drains the leader's node, then lets pods come back to it",
        hypothesis="The leader hands over, signal pods are replaced one at a time as the disruption budgets allow: "
        "no request "
        "fails. The node carries none of the release's stores.",
        measure=Measure.WAIT,
        seconds=5,
        by_hand=f"{_LEADER}\n{_NODE}\n"
        "kubectl drain $node --ignore-daemonsets --delete-emptydir-data "
        "--pod-selector=app.kubernetes.io/instance=ratchet\n"
        "kubectl uncordon $node",
        expect="Evictions, now and then one that is told to wait for the budget; LeaderReleased and LeaderElected.",
    ),
    Drill(
        name="restart-postgres",
        does="deletes the bundled PostgreSQL's pod",
        hypothesis="Signals are refused with 503 while the database is away, never lost: senders repeat them and get "
        "one receipt. "
        "No pod is restarted for it.",
        measure=Measure.WAIT,
        seconds=45,
        client_errors=None,
        by_hand="kubectl delete pod ratchet-postgres-0 --wait=false\nkubectl get pods -w",
        expect="Answers with 503 and Retry-After for some seconds, then 202 again; restarts of the other pods stay 0.",
    ),
    Drill(
        name="restart-redis",
        does="deletes the bundled Redis's pod",
        hypothesis="Redis only saves time: without it the database alone wakes and decides. No request fails.",
        measure=Measure.WAIT,
        seconds=5,
        by_hand="kubectl delete pod ratchet-redis-0 --wait=false\nkubectl get pods -w",
        expect="The services' health says that Redis is away, and later that it is healthy; signals go on.",
    ),
    Drill(
        name="api-outage",
        does="makes the cluster's API server hang for twenty seconds",
        hypothesis="Signal pods never ask the API server, so senders notice nothing. The leader stops at its renew "
        "deadline; "
        "one leads again soon after the API server answers. The time counts from then.",
        measure=Measure.TAKEOVER,
        leases=1,
        seconds=2,
        by_hand="FAULT hang-api\nsleep 20\nFAULT resume-api\nkubectl get events --field-selector "
        "involvedObject.kind=Lease",
        expect="LeadershipLost: the lease could not be renewed in time, told after the outage; then LeaderElected. "
        "FAULT is "
        "whatever can do this to your control plane; kubectl itself does not answer meanwhile.",
        outside="hang-api",
    ),
    Drill(
        name="cut-node",
        does="cuts the leader's node from the network, then mends it",
        hypothesis="The standby on another node leads when the lease has run out. The leader that was cut off stops "
        "by itself and "
        "writes nothing later. The node carries none of the release's stores. Requests to its signal pod fail until "
        "the "
        "cluster has noticed, and are repeated.",
        measure=Measure.TAKEOVER,
        leases=1,
        seconds=2,
        client_errors=None,
        by_hand=f"{_LEADER}\n{_NODE}\nFAULT cut $node\nkubectl get lease ratchet-leader -w\nFAULT heal $node\n"
        "kubectl ratchet verify",
        expect="The holder changes after the lease's duration; the node turns NotReady after most of a minute; once "
        "it is mended, "
        "the old leader stands by; invariant I17 counts nothing.",
        outside="cut",
    ),
)

DRILLS: Mapping[str, Drill] = {drill.name: drill for drill in _ALL}
"""Every drill by its name."""

FAULT_COMMAND = """\
What kubectl cannot do is done by a command of yours, given as --fault-command. It is run with one of
  hang-api | resume-api          the API server accepts connections and answers nothing; and again as usual
  cut NODE | heal NODE           the node has no network; and has it again
and has to end with 0 as soon as it is done: times count from then. Given, it also kills and pauses, from outside the
container:
  kill NAMESPACE POD CONTAINER   SIGKILL to the container's first process
  freeze | thaw NAMESPACE POD CONTAINER"""
