"""A whole drill, from the refusal or the sender to the report, with a kubectl that plays the cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ratchet.cli.exits import Exit
from ratchet.kubectl import main
from tests.house.sources import ROOT
from tests.servers.waiting import eventually_true
from tests.unit.kubectl.fake import FakeKubectl, answer
from tests.unit.kubectl.objects import health, items, lease, stands

QUICK = ("--settle", "0")
FINDINGS: list[dict[str, Any]] = [
    {"invariant": f"I{n}", "meaning": "m", "count": 0, "rows": [], "skipped": None} for n in range(1, 19)
]


def told(fingerprint: str, **more: Any) -> str:
    whole = {"took": 0.1, "tries": 1, "answer": "new", "outcome": "executed", "ended": True, "repeat": False, "at": 0}
    return json.dumps({"fingerprint": fingerprint, "id": fingerprint, "problem": "", **whole, **more}) + "\n"


def watched(kind: str, found: dict[str, Any]) -> str:
    return json.dumps({"type": kind, "object": found}, indent=4) + "\n"


def plays(fake: FakeKubectl, *, breaks: tuple[str, ...], lines: str = "", status: Any = None) -> None:
    """Let the cluster be well until it is broken, and be led by the other one then."""
    sent = lines or told("a") + told("b")
    fake.when("get", "lease", "--watch", says=watched("ADDED", lease("leader-b_uid_2", 4)), after=breaks)
    fake.when("get", "lease", "--watch", says=watched("ADDED", lease()))
    fake.when("get", "events", "--watch", says="")
    fake.when("get", "service", says=items({"metadata": {"name": "ratchet"}, "spec": {"ports": [{"port": 80}]}}))
    fake.when("logs", says=sent + '{"end": true}\n', after=("exec", "touch"))
    fake.when("logs", says=sent)
    fake.when("exec", "touch", says="")
    fake.when("exec", "verify", says=FINDINGS)
    fake.when("version", says={"serverVersion": {"gitVersion": "v1.35.4"}, "clientVersion": {"gitVersion": "v1.35.4"}})
    for word in ("create", "delete"):
        fake.when(word, says="done")
    stands(fake, status=status)


def drill(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    code = main(["drill", *words, *QUICK, "--folder", str(folder), "-o", "json"])
    captured = capsys.readouterr()
    assert captured.out, captured.err
    return code, json.loads(captured.out)


def test_a_drill_sends_breaks_waits_audits_and_keeps_a_report(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plays(fake, breaks=("delete", "pod", "leader-a"))
    code, data = drill(capsys, tmp_path / "kept", "delete-leader", "--note", "a try")
    assert (code, data["verdict"], data["reasons"]) == (Exit.OK, "pass", [])
    assert data["versions"] == {
        "ratchet": "0.1.0",
        "image": "ratchet:0.1.0",
        "kubernetes": "v1.35.4",
        "kubectl": "v1.35.4",
    }
    (run,) = data["runs"]
    assert run["recovered"] and 0 < run["seconds"] < 60
    assert [moment["what"] for moment in run["timeline"]] == [
        "kubectl delete pod leader-a",
        "the lease is held by leader-b",
        "the lease shows epoch 4",
    ]
    assert (data["signals"]["sent"], data["signals"]["lost"], data["note"]) == (2, 0, "a try")
    assert len(list((tmp_path / "kept").iterdir())) == 2
    sender = "ratchet-drill-sender"
    assert fake.stdin("create")[0]["metadata"]["name"] == sender
    removed = fake.calls("delete", "pod", sender)
    assert len(removed) == 2, "one that was left before, and the one of now"


def test_a_signal_without_an_end_fails_the_drill(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = told("a") + told("b", ended=False, outcome="processing")
    plays(fake, breaks=("delete", "pod", "leader-a"), lines=lines)
    code, data = drill(capsys, tmp_path, "delete-leader")
    assert (code, data["verdict"]) == (Exit.FOUND, "fail")
    assert "1 accepted signals have no end" in data["reasons"]


def test_a_sender_is_told_to_stop_again_if_the_api_server_was_away(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    away = answer(err="Unable to connect to the server: EOF", code=1)
    fake.turns("exec", "touch", answers=[away, answer()])
    plays(fake, breaks=("delete", "pod", "leader-a"))
    assert drill(capsys, tmp_path, "delete-leader")[1]["verdict"] == "pass"
    assert len(fake.calls("exec", "touch")) == 2


def test_a_confirmed_live_broker_is_sent_no_signals(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plays(fake, breaks=("delete", "pod", "leader-a"), status=health(kind="openalgo"))
    code, data = drill(capsys, tmp_path, "delete-leader", "--confirm-live", "ratchet")
    assert (code, data["verdict"]) == (Exit.FOUND, "inconclusive")
    assert data["signals"] is None
    assert "no signals were sent" in data["reasons"]
    assert data["recovery"]["p50"] is not None
    assert fake.calls("create") == []


def test_what_the_cluster_cannot_do_is_inconclusive_in_clear_words(
    fake: FakeKubectl, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plays(fake, breaks=("never",))
    code, data = drill(capsys, tmp_path, "api-outage")
    assert (code, data["verdict"]) == (Exit.FOUND, "inconclusive")
    assert "kubectl cannot do `hang-api`: give a command that can" in data["reasons"][0]
    assert "0 of 1 runs were made" in data["reasons"]


def test_a_drill_that_is_terminated_mends_what_it_broke(fake: FakeKubectl, tmp_path: Path) -> None:
    plays(fake, breaks=("never",))
    fake.when("exec", "leader-a", "sh", says="")
    words = ["drill", "pause-leader", *QUICK, "--folder", str(tmp_path / "kept")]
    with subprocess.Popen(
        [sys.executable, "-m", "ratchet.kubectl", *words], cwd=ROOT, env=os.environ, stderr=subprocess.PIPE
    ) as process:
        eventually_true(lambda: fake.calls("exec", "leader-a", "sh"), within=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == Exit.INTERRUPTED
    assert [call[-1].split()[1] for call in fake.calls("exec", "leader-a", "sh")] == ["-STOP", "-CONT"]
    assert len(fake.calls("delete", "pod", "ratchet-drill-sender")) == 2
