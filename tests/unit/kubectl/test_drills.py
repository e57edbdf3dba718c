"""Each drill's fault: what is done to the cluster, in which order, and that it is mended."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratchet.cli.exits import Exit
from ratchet.clock import SystemClock
from ratchet.kubectl import main
from ratchet.kubectl.drills import faults
from ratchet.kubectl.drills.definitions import DRILLS, Measure
from ratchet.kubectl.drills.faults import FAULTS
from ratchet.kubectl.drills.scene import Inconclusive, Scene, unsteady
from ratchet.kubectl.drills.sending import sender_manifest
from ratchet.kubectl.kubectl import Kubectl
from ratchet.kubectl.release import Lease, find
from ratchet.kubectl.watching import Chronicle
from tests.unit.kubectl.fake import FakeKubectl, answer
from tests.unit.kubectl.objects import PODS, deployment, health, items, labels, lease, pod, stands

NEXT = Lease(lease("leader-b_uid_2", 4))
MUTE = ("delete", "scale", "rollout", "drain", "uncordon", "annotate", "apply")


def scene(fake: FakeKubectl, *, pods: tuple[Any, ...] = PODS, **options: Any) -> Scene:
    for word in MUTE:
        fake.when(word, says="done")
    stands(fake, pods=pods)
    chronicle = Chronicle(SystemClock())
    chronicle.saw_lease("ADDED", Lease(lease()))
    release = find(Kubectl(namespace="trading"), None)
    return Scene(
        release=release, chronicle=chronicle, clock=SystemClock(), before=release.lease(), outage_seconds=0, **options
    )


def verbs(fake: FakeKubectl) -> list[str]:
    """Return what was done to the cluster, in order, without what was only asked."""
    done = [" ".join(word for word in call if not word.startswith("--")) for call in fake.calls()]
    return [one.removeprefix("trading ") for one in done if not one.startswith(("trading get", "trading config"))]


def outside(tmp_path: Path, *, code: int = 0) -> tuple[str, Callable[[], list[str]]]:
    """Return a command that writes down how it was run, and what it wrote."""
    program, notes = tmp_path / "fault", tmp_path / "notes"
    program.write_text(f'#!/bin/sh\necho "$@" >> {notes}\necho broken >&2\nexit {code}\n', encoding="utf-8")
    program.chmod(0o755)
    return str(program), lambda: notes.read_text(encoding="utf-8").splitlines()


def test_every_drill_has_a_fault_a_hypothesis_and_commands_by_hand() -> None:
    assert FAULTS.keys() == DRILLS.keys()
    assert all(drill.hypothesis and "kubectl" in drill.by_hand and drill.expect for drill in DRILLS.values())
    assert DRILLS["kill-leader"].limit_seconds(10) == 11
    assert {name for name, drill in DRILLS.items() if drill.outside} == {"api-outage", "cut-node"}


def test_deleting_the_leader_deletes_its_pod_and_waits_for_the_next_epoch(fake: FakeKubectl) -> None:
    where = scene(fake)
    with FAULTS["delete-leader"](where) as recovered:
        assert not recovered()
        where.chronicle.saw_lease("MODIFIED", Lease(lease("", None)))
        where.chronicle.saw_lease("MODIFIED", Lease(lease("leader-b_uid_2", None)))
        assert not recovered(), "a lease without an epoch leads nothing"
        where.chronicle.saw_lease("MODIFIED", NEXT)
        assert recovered()
    assert verbs(fake) == ["delete pod leader-a"]


def test_an_event_tells_the_epoch_sooner_than_the_lease_shows_it(fake: FakeKubectl) -> None:
    where = scene(fake)
    with FAULTS["delete-leader"](where) as recovered:
        where.chronicle.saw_event({"reason": "LeaderElected", "message": "leader-b leads under epoch 4"})
        assert recovered()


def test_a_kill_reaches_the_child_of_process_1_and_the_pod_is_replaced_afterwards(fake: FakeKubectl) -> None:
    fake.when("exec", "leader-a", "sh", says="")
    where = scene(fake)
    with FAULTS["kill-leader"](where):
        where.chronicle.saw_lease("MODIFIED", NEXT)
    done = verbs(fake)
    assert done[0].startswith("exec leader-a leader sh -c kill -KILL $(grep")
    assert done[1] == "delete pod leader-a"


def test_a_paused_leader_goes_on_even_if_nobody_else_led(fake: FakeKubectl) -> None:
    fake.when("exec", "leader-a", "sh", says="")
    where = scene(fake)
    with pytest.raises(RuntimeError), FAULTS["pause-leader"](where):
        raise RuntimeError
    assert [word[:40] for word in verbs(fake)] == [
        "exec leader-a leader sh -c kill -STOP $(",
        "exec leader-a leader sh -c kill -CONT $(",
    ]


def test_a_fault_command_kills_and_pauses_from_outside(fake: FakeKubectl, tmp_path: Path) -> None:
    command, notes = outside(tmp_path)
    where = scene(fake, fault_command=command)
    with FAULTS["pause-leader"](where):
        pass
    assert notes() == ["freeze trading leader-a leader", "thaw trading leader-a leader"]


def test_a_signal_that_cannot_be_sent_is_inconclusive(fake: FakeKubectl) -> None:
    fake.when("exec", "leader-a", "sh", err="sh: not found\ncommand terminated with exit code 127", code=127)
    with pytest.raises(Inconclusive, match="cannot be sent STOP: sh: not found"), FAULTS["pause-leader"](scene(fake)):
        pytest.fail("nothing was paused")


@pytest.mark.parametrize("made_again", [True, False])
def test_a_deleted_lease_is_put_back_only_if_no_leader_makes_it(
    fake: FakeKubectl, monkeypatch: pytest.MonkeyPatch, made_again: bool
) -> None:
    monkeypatch.setattr(faults, "PUT_BACK_SECONDS", 0.0)
    gone = answer(err='Error from server (NotFound): leases "ratchet-leader" not found', code=1)
    fake.turns("get", "lease", "ratchet-leader", answers=[answer(lease()), answer(lease()) if made_again else gone])
    where = scene(fake)
    with FAULTS["delete-lease"](where) as recovered:
        where.chronicle.saw_lease("DELETED", Lease(lease()))
        assert not recovered()
    assert verbs(fake) == ["delete lease ratchet-leader", *([] if made_again else ["apply -f -"])]
    for bare in fake.stdin("apply", "--server-side", "--field-manager=helm", "-f", "-"):
        assert bare["metadata"]["labels"] == labels("leader")
        assert bare["metadata"]["annotations"] == {"meta.helm.sh/release-name": "ratchet"}
        assert "spec" not in bare


def test_a_rollout_restarts_both_and_is_over_when_everything_is_whole(fake: FakeKubectl) -> None:
    half = deployment("signals")
    half["status"]["updatedReplicas"] = 1
    rest = (deployment("leader"), *PODS, lease())
    answers = [answer(items(half, *rest)), answer(items(deployment("signals"), *rest))]
    fake.turns("get", "deployments,statefulsets,pods,leases", answers=answers)
    with FAULTS["rollout"](scene(fake)) as recovered:
        assert [recovered(), recovered()] == [False, True]
    assert verbs(fake) == ["rollout restart deployment/ratchet-signals deployment/ratchet-leader"]


def test_scaling_down_takes_away_the_pod_that_it_added(fake: FakeKubectl) -> None:
    with FAULTS["scale-down"](scene(fake)):
        pass
    assert [call[-1] for call in fake.calls("scale")] == ["--replicas=2", "--replicas=1"]


def test_a_drain_takes_the_release_s_pods_alone_and_the_node_is_given_back(fake: FakeKubectl) -> None:
    where = scene(fake)
    with pytest.raises(RuntimeError), FAULTS["drain-node"](where):
        raise RuntimeError
    assert [word.split()[0] for word in verbs(fake)] == ["drain", "uncordon"]
    assert any(word.startswith("--pod-selector=app.kubernetes.io/instance=ratchet") for word in fake.calls("drain")[0])


def test_no_node_with_a_store_is_drained(fake: FakeKubectl) -> None:
    stores = [pod("redis", "redis", node="node0"), pod("simulator", "simulator", node="node1")]
    where = scene(fake, pods=(*PODS, *stores))
    with pytest.raises(Inconclusive, match="also carries a store"), FAULTS["drain-node"](where):
        pytest.fail("nothing was drained")
    assert verbs(fake) == []


def test_the_leader_hands_over_first_if_its_node_carries_a_store(
    fake: FakeKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(faults, "HANDED_OVER_SECONDS", 0.0)

    def handed(where: Scene) -> Callable[[Any, str], None]:
        def wish(_: Any, to: str) -> None:
            asked.append(to)
            where.chronicle.saw_lease("MODIFIED", NEXT)

        return wish

    fake.turns("get", "lease", "ratchet-leader", answers=[answer(lease()), answer(NEXT.raw)])
    where = scene(fake, pods=(*PODS, pod("redis", "redis", node="node0")))
    monkeypatch.setattr(faults, "wish", handed(where))
    with FAULTS["drain-node"](where) as recovered:
        assert callable(recovered)
    assert asked == ["leader-b"]
    assert fake.calls("drain", "node1")
    assert where.led.epoch == 4


@pytest.mark.parametrize(("name", "component"), [("restart-postgres", "postgres"), ("restart-redis", "redis")])
def test_a_store_is_back_when_another_pod_of_it_is_ready(fake: FakeKubectl, name: str, component: str) -> None:
    old, new = (pod(f"store-{component}", component, uid=uid) for uid in ("1", "2"))
    fake.turns("get", "pods", answers=[answer(items(*PODS[:3], one)) for one in (old, old, new)])
    with FAULTS[name](scene(fake)) as recovered:
        assert [recovered(), recovered()] == [False, True]
    assert verbs(fake) == [f"delete pod store-{component}"]


def test_a_store_elsewhere_is_not_broken(fake: FakeKubectl) -> None:
    with pytest.raises(Inconclusive, match="no redis of its own"), FAULTS["restart-redis"](scene(fake)):
        pytest.fail("nothing was deleted")


def test_an_outage_of_the_api_server_counts_from_its_end(fake: FakeKubectl, tmp_path: Path) -> None:
    command, notes = outside(tmp_path)
    where = scene(fake, fault_command=command)
    with FAULTS["api-outage"](where) as recovered:
        assert [moment.what for moment in where.chronicle.since(where.fault_at)] == ["the API server answers again"]
        assert not recovered()
    assert notes() == ["hang-api", "resume-api"]


def test_a_node_is_cut_and_healed(fake: FakeKubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "CUT_SECONDS", 0.0)
    command, notes = outside(tmp_path)
    with FAULTS["cut-node"](scene(fake, fault_command=command)):
        pass
    assert notes() == ["cut node0", "heal node0"]


@pytest.mark.parametrize("name", ["api-outage", "cut-node"])
def test_what_kubectl_cannot_do_needs_a_command(fake: FakeKubectl, name: str) -> None:
    with pytest.raises(Inconclusive, match="--fault-command"), FAULTS[name](scene(fake)):
        pytest.fail("nothing was broken")


def test_a_fault_command_that_fails_is_told_with_its_words(fake: FakeKubectl, tmp_path: Path) -> None:
    command, _ = outside(tmp_path, code=1)
    with (
        pytest.raises(Inconclusive, match="-api: broken"),
        FAULTS["api-outage"](scene(fake, fault_command=command)),
    ):
        pytest.fail("nothing was broken")


def test_a_leader_of_the_database_cannot_be_drilled(fake: FakeKubectl) -> None:
    where = scene(fake)
    where.before = None
    with pytest.raises(Inconclusive, match="a row of the database"), FAULTS["delete-leader"](where):
        pytest.fail("nothing was deleted")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (pod("signals-z", "signals", ready=False), "signals-z is Running"),
        (pod("ratchet-redis-0", "redis", deletionTimestamp="now"), "ratchet-redis-0 is Terminating"),
        (lease("gone_uid_1"), "nobody leads"),
        (lease(epoch=None), "nobody leads"),
    ],
)
def test_what_is_not_at_rest_is_named(fake: FakeKubectl, broken: dict[str, Any], told: str) -> None:
    leases = (broken,) if broken["kind"] == "Lease" else (broken, lease())
    whole = items(deployment("signals"), deployment("leader"), *PODS, *leases)
    fake.when("get", "deployments,statefulsets,pods,leases", says=whole)
    assert unsteady(scene(fake).release) == told


def test_the_sender_is_as_restricted_as_a_signal_pod_and_passes_as_the_chart_s_test(fake: FakeKubectl) -> None:
    release = scene(fake).release
    found = sender_manifest(release, "s", "http://ratchet:80", accounts=["load-01"], rate=5, node="node2")
    spec, container = found["spec"], found["spec"]["containers"][0]
    assert found["metadata"]["labels"]["app.kubernetes.io/component"] == "test"
    assert spec["securityContext"] == {"runAsNonRoot": True}
    assert container["securityContext"] == {"readOnlyRootFilesystem": True}
    assert container["image"] == "ratchet:0.1.0"
    assert spec["nodeSelector"] == {"kubernetes.io/hostname": "node2"}
    assert spec["automountServiceAccountToken"] is False
    (source,) = spec["volumes"][0]["projected"]["sources"]
    assert source["secret"]["name"] == "ratchet-tokens"
    assert [item["path"] for item in source["secret"]["items"]] == ["api-token"]


def test_a_live_broker_is_not_drilled_without_the_release_s_name(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    stands(fake, status=health(kind="openalgo", mode="live"))
    for written in ((), ("--confirm-live", "yes")):
        assert main(["drill", "delete-leader", *written]) == Exit.USAGE
        assert "write --confirm-live ratchet; no signals are sent then" in capsys.readouterr().err
    assert fake.calls("delete") == []


def test_what_the_broker_is_has_to_be_known(fake: FakeKubectl) -> None:
    stands(fake, status={"health": {}})
    assert main(["drill", "delete-leader"]) == Exit.USAGE


def test_the_list_explains_every_drill(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "--list"]) == Exit.OK
    out = capsys.readouterr().out
    assert [name for name in DRILLS if f"{name}: " not in out] == []
    assert "--fault-command" in out
    assert main(["drill", "--list", "-o", "json"]) == Exit.OK
    rows = json.loads(capsys.readouterr().out)
    assert all(row["hypothesis"] and row["thresholds"] for row in rows)
    assert {str(DRILLS[row["drill"]].measure) for row in rows} == {str(measure) for measure in Measure}


def test_a_drill_has_to_be_named() -> None:
    assert main(["drill"]) == Exit.USAGE
