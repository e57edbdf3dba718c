"""The commands of kubectl ratchet: what they print, what they ask, how they end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratchet.cli.exits import Exit
from ratchet.kubectl import main
from ratchet.kubectl.status import WIDTH
from tests.unit.kubectl.fake import FakeKubectl, answer
from tests.unit.kubectl.objects import PODS, deployment, health, items, lease, pod, stands


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_status_fits_on_one_screen(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    long = pod("ratchet-with-a-long-name-leader-757b588b64-kt5wl", "leader", node="a-node-with-a-long-name.example")
    stands(fake, pods=(*PODS, long))
    _, out, _ = output_of(capsys, "status")
    lines = out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) <= 24
    for told in (
        "leader-a on node0",
        "3; lease renewed",
        "1 waiting, 2 in work",
        "none open",
        "simulator",
        "entries on",
    ):
        assert told in out
    assert "leader-757b588b64-kt5wl"[-13:] in out


def test_status_of_a_release_that_is_well_ends_with_0(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    fresh = lease()
    fresh["spec"]["renewTime"] = "2999-01-01T00:00:00.000000Z"
    fake.when("get", "lease", says=fresh)
    stands(fake)
    code, out, _ = output_of(capsys, "status", "-o", "json")
    found = json.loads(out)
    assert (code, found["trouble"], found["leader"]["epoch"]) == (Exit.OK, [], 3)
    assert found["leader"]["lease_age_seconds"] == 0


def _trouble(which: str, fake: FakeKubectl) -> None:
    status = health()
    match which:
        case "no leader":
            fake.when("get", "lease", says=lease(holder=""))
        case "no lease":
            fake.when("get", "lease", err='Error from server (NotFound): leases "x" not found', code=1)
        case "incident":
            status["open_incidents"] = [{"id": "1"}]
        case "frozen":
            status["health"]["sending"] |= {"entries_on": False, "reason": "odd fills"}
        case "review":
            status["queue"]["review"] = 4
    pods = (*PODS, pod("signals-z", "signals", ready=False)) if which == "pod" else PODS
    stands(fake, status=status, pods=pods)


@pytest.mark.parametrize(
    ("which", "told"),
    [
        ("no leader", "nobody leads"),
        ("no lease", "the lease ratchet-leader does not exist"),
        ("incident", "1 incidents wait for a person"),
        ("frozen", "sending of entries is stopped: odd fills"),
        ("review", "4 signals are in review"),
        ("pod", "signals-z is not ready"),
    ],
)
def test_status_names_trouble_and_ends_with_1(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str], which: str, told: str
) -> None:
    _trouble(which, fake)
    code, out, _ = output_of(capsys, "status")
    assert code == Exit.FOUND
    assert f"! {told}" in out


def test_status_shows_the_cluster_even_if_no_pod_can_be_asked(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    stands(fake, pods=PODS[:2])
    code, out, _ = output_of(capsys, "status")
    assert code == Exit.FOUND
    assert "leader-a on node0" in out
    assert "queue      unknown" in out
    assert "no signals pod of release ratchet is ready" in out


def test_status_of_a_leader_elected_in_the_database_needs_no_lease(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.when("get", "deployments", says=items(deployment("signals"), deployment("leader", lease=None)))
    stands(fake)
    code, out, _ = output_of(capsys, "status")
    assert "epoch      3; elected on a row of the database" in out
    assert code == Exit.OK
    assert fake.calls("get", "lease") == []


def test_without_a_release_it_says_where_to_look(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    fake.when("get", "deployments", says=items())
    code, _, err = output_of(capsys, "status", "-n", "nowhere")
    assert code == Exit.FOUND
    assert "no release of Ratchet in namespace nowhere" in err
    assert "kubectl get deployments -A" in err


def test_several_releases_have_to_be_told_apart(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    both = [deployment(part, release=name) for name in ("blue", "red") for part in ("signals", "leader")]
    fake.when("get", "deployments", says=items(*both))
    code, _, err = output_of(capsys, "leader")
    assert code == Exit.USAGE
    assert "blue, red" in err
    stands(fake)
    fake.when("get", "events", says=items())
    assert output_of(capsys, "leader", "--release", "red")[0] == Exit.OK


def test_flags_may_stand_before_and_behind_the_command(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    stands(fake)
    output_of(capsys, "-n", "trading", "status", "--context", "blue")
    words = fake.calls("get", "deployments")[0]
    assert words[:4] == ["--namespace", "trading", "--context", "blue"]


def test_leader_lists_who_stands_by_and_what_was_told(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    told = {"eventTime": "2026-11-27T10:23:10.5Z", "reason": "LeaderElected", "message": "leader-a leads under epoch 3"}
    fake.when("get", "events", says=items(told))
    stands(fake)
    code, out, _ = output_of(capsys, "leader")
    assert code == Exit.OK
    assert "standing_by          leader-b" in out
    assert "2026-11-27T10:23:10  LeaderElected: leader-a leads under epoch 3" in out


def test_leader_does_not_need_the_right_to_read_events(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    fake.when("get", "events", err="Error from server (Forbidden): events is forbidden", code=1)
    stands(fake)
    code, out, _ = output_of(capsys, "leader")
    assert code == Exit.OK
    assert "no events" in out


def _watched(kind: str, found: dict[str, Any]) -> str:
    return json.dumps({"type": kind, "object": found}, indent=4) + "\n"


def test_failover_asks_by_annotation_and_prints_the_timeline(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = lease(), lease("leader-b_uid_2", 4)
    later = _watched("MODIFIED", lease("", None)) + _watched("MODIFIED", after)
    fake.turns("get", "lease", "--watch", answers=[answer(_watched("ADDED", before)), answer(later)])
    fake.when("get", "events", "--watch", says="")
    fake.when("annotate", says="annotated")
    fake.turns("get", "lease", "ratchet-leader", answers=[answer(before), answer(after)])
    stands(fake)
    code, out, err = output_of(capsys, "failover", "--within", "10")
    assert (code, err) == (Exit.OK, "")
    assert fake.calls("annotate", "lease", "ratchet-leader", "ratchet.dev/hand-over-to=any", "--overwrite")
    assert out.index("asked to hand over") < out.index("the lease is free") < out.index("held by leader-b")
    assert "the lease shows epoch 4" in out
    assert not fake.calls("delete")


def test_failover_that_nobody_answers_is_withdrawn(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    fake.when("get", "lease", "--watch", says=_watched("ADDED", lease()))
    fake.when("get", "events", "--watch", says="")
    fake.when("annotate", says="annotated")
    stands(fake)
    code, out, _ = output_of(capsys, "failover", "--within", "0.5")
    assert code == Exit.FOUND
    assert "the wish is withdrawn" in out
    assert fake.calls("annotate", "ratchet.dev/hand-over-to-")


@pytest.mark.parametrize(
    ("to", "pods", "told", "code"),
    [
        ("leader-a", PODS, "leader-a leads already", Exit.USAGE),
        ("signals-a", PODS, "no ready leader pod; ready: leader-a, leader-b", Exit.USAGE),
        ("any", PODS[:1], "nobody stands by", Exit.FOUND),
    ],
)
def test_failover_refuses_what_cannot_end_well(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str], to: str, pods: tuple[Any, ...], told: str, code: Exit
) -> None:
    stands(fake, pods=pods)
    ended, _, err = output_of(capsys, "failover", "--to", to)
    assert ended == code
    assert told in err
    assert not fake.calls("annotate")


def test_freeze_and_thaw_journal_who_it_was(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    fake.when("auth", "whoami", says={"status": {"userInfo": {"username": "ada"}}})
    fake.when("exec", "ratchet", "kill-switch", says={"entries_on": False, "exits_on": True, "on_the_way": []})
    stands(fake)
    code, out, _ = output_of(capsys, "freeze", "--cancel", "--reason", "odd fills")
    assert code == Exit.OK
    assert "no order was on its way" in out
    assert fake.calls("kill-switch", "on", "--cancel", "--reason", "odd fills (by kubectl, ada)", "--json")
    assert output_of(capsys, "thaw", "--reason", "fine")[0] == Exit.OK
    assert fake.calls("kill-switch", "off", "--reason", "fine (by kubectl, ada)")


def test_freeze_without_a_reason_asks_nobody(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = output_of(capsys, "freeze", "--reason", " ")
    assert code == Exit.USAGE
    assert "say why" in err
    assert fake.calls() == []


def test_empty_lists_say_so(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    fake.when("exec", "ratchet", "signals", says=[])
    fake.when("exec", "ratchet", "incidents", says=[])
    stands(fake)
    assert output_of(capsys, "signals")[:2] == (Exit.OK, "no signals\n")
    assert output_of(capsys, "incidents")[:2] == (Exit.OK, "no open incidents\n")
    assert output_of(capsys, "incidents", "-o", "json")[:2] == (Exit.OK, "[]\n")


def test_an_open_incident_ends_with_1(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    fake.when("exec", "ratchet", "incidents", says=[{"id": "6f", "kind": "unknown_order", "summary": "where is it"}])
    stands(fake)
    code, out, _ = output_of(capsys, "incidents")
    assert code == Exit.FOUND
    assert "unknown_order" in out


def test_verify_ends_with_1_if_an_invariant_is_violated(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    good = {"invariant": "I1", "meaning": "once", "count": 0, "rows": [], "skipped": None}
    bad = {**good, "invariant": "I2", "count": 2, "rows": [{"intent": "x"}]}
    answers = [
        answer([good]),
        answer([good, bad], err="command terminated with exit code 1", code=1),
    ]
    fake.turns("exec", "ratchet", "verify", answers=answers)
    stands(fake)
    assert output_of(capsys, "verify")[0] == Exit.OK
    code, out, _ = output_of(capsys, "verify")
    assert code == Exit.FOUND
    assert "2 invariants asked, 1 violated, 0 skipped" in out


def test_what_fails_inside_the_pod_is_told_with_the_pod_s_name(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.when("exec", "verify", err="error: the database: away\ncommand terminated with exit code 3", code=3)
    stands(fake)
    code, _, err = output_of(capsys, "verify")
    assert code == Exit.UNREACHABLE
    assert "`ratchet verify --rows 3` in signals-a: the database: away" in err


@pytest.mark.parametrize("command", ["status", "leader", "failover", "freeze", "signals", "verify", "drill", "report"])
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert "--kubeconfig" in out


def test_a_command_that_makes_no_sense_ends_with_2() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", "--sideways"])
    assert ended.value.code == Exit.USAGE
