"""What a drill came to is judged by its thresholds alone, and kept as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ratchet.cli.exits import Exit
from ratchet.kubectl import main
from ratchet.kubectl.drills.definitions import DRILLS
from ratchet.kubectl.drills.record import Record, Run, keep, percentile
from ratchet.kubectl.drills.sending import Tally, tally
from ratchet.kubectl.drills.text import markdown, summary

GOOD = Tally(sent=100, accepted=100, executed=90, longest_wait_seconds=0.3)
AUDIT: list[dict[str, Any]] = [
    {"invariant": f"I{n}", "meaning": f"rule {n}", "count": 0, "rows": [], "skipped": None} for n in range(1, 19)
]


def run(number: int, seconds: float | None = 3.0, *, recovered: bool = True) -> Run:
    return Run(
        number=number,
        began="2026-11-27T10:30:00.000+00:00",
        recovered=recovered,
        seconds=seconds,
        lease_seconds=2.9,
        epoch_seconds=seconds,
        steady_seconds=9.0,
        longest_wait_seconds=0.3,
        client_errors=0,
        timeline=[{"seconds": 0.0, "what": "SIGKILL"}],
    )


def record(**changes: Any) -> Record:
    whole = Record(
        drill=DRILLS["kill-leader"],
        release="ratchet",
        namespace="trading",
        started="2026-11-27T10:30:00+00:00",
        finished="2026-11-27T10:35:00+00:00",
        versions={"ratchet": "0.1.0", "kubernetes": "v1.35.4"},
        lease_seconds=10,
        limit_seconds=11,
        wanted_runs=2,
        rate=5.0,
        runs=[run(1), run(2, 5.0)],
        signals=GOOD,
        audit=AUDIT,
    )
    return replace(whole, **changes)


def violated(name: str, **changes: Any) -> list[dict[str, Any]]:
    return [{**one, **(changes if one["invariant"] == name else {})} for one in AUDIT]


def test_what_held_in_every_run_passes() -> None:
    data = record().data()
    assert (data["verdict"], data["reasons"]) == ("pass", [])
    assert (data["recovery"]["p50"], data["recovery"]["p95"], data["recovery"]["max"]) == (3.0, 5.0, 5.0)
    assert data["audit"]["stale_epoch_writes"] == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"runs": [run(1), run(2, 11.2)]}, "11.20 s, more than 11 s"),
        ({"runs": [run(1), run(2, None, recovered=False)]}, "no recovery in time in run 2"),
        ({"signals": replace(GOOD, lost=1)}, "1 accepted signals have no end"),
        ({"signals": replace(GOOD, doubled=1)}, "1 signals were stored twice"),
        ({"signals": replace(GOOD, refused=1)}, "1 messages were refused"),
        ({"signals": replace(GOOD, unsent=1)}, "1 messages could not be handed in"),
        ({"signals": replace(GOOD, client_errors=1)}, "1 tries of senders failed, more than 0"),
        ({"audit": violated("I17", count=2)}, "I17 is violated 2 times: rule 17"),
    ],
)
def test_whatever_did_not_hold_fails(changes: dict[str, Any], told: str) -> None:
    data = record(**changes).data()
    assert data["verdict"] == "fail"
    assert any(told in reason for reason in data["reasons"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"runs": [run(1)]}, "1 of 2 runs were made"),
        ({"stopped": "no second node"}, "no second node"),
        ({"signals": None}, "no signals were sent"),
        ({"signals": Tally()}, "no signal was accepted"),
        ({"audit": None}, "the invariants were not asked"),
        ({"audit": violated("I1", skipped="no book")}, "not asked: I1"),
    ],
)
def test_what_could_not_be_tried_or_asked_is_inconclusive(changes: dict[str, Any], told: str) -> None:
    data = record(**changes).data()
    assert data["verdict"] == "inconclusive"
    assert any(told in reason for reason in data["reasons"])


def test_what_failed_is_told_together_with_what_could_not_be_asked() -> None:
    data = record(runs=[run(1, 99.0), run(2)], audit=None, stopped="the API server does not answer").data()
    assert data["verdict"] == "fail"
    assert len(data["reasons"]) == 3


def test_failed_tries_are_no_fault_where_the_store_is_away() -> None:
    drill = DRILLS["restart-postgres"]
    assert record(drill=drill, limit_seconds=45, signals=replace(GOOD, client_errors=40)).data()["verdict"] == "pass"


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 11)]
    assert (percentile(values, 0.5), percentile(values, 0.95), percentile([], 0.5)) == (5.0, 10.0, None)
    assert percentile([float(n) for n in range(1, 101)], 0.95) == 95.0


def line(fingerprint: str, found: str | None, **more: Any) -> dict[str, Any]:
    whole = {"took": 0.1, "tries": 1, "answer": "new", "outcome": "executed", "ended": True, "repeat": False}
    return {"fingerprint": fingerprint, "id": found, **whole, **more}


def test_messages_are_counted_by_what_became_of_them() -> None:
    found = tally(
        [
            line("a", "1", tries=3, took=2.5, problem="HTTP 503: away"),
            line("a", "1", answer="exact", repeat=True, outcome=""),
            line("b", "2"),
            line("b", "3", repeat=True),
            line("c", "4", outcome="processing", ended=False),
            line("d", None, answer="refused", outcome="", ended=False),
            line("e", None, answer="unsent", tries=9, outcome="", ended=False),
            line("f", "5", outcome="blocked"),
        ]
    )
    assert found == Tally(
        sent=6,
        accepted=4,
        executed=3,
        doubled=1,
        lost=1,
        client_errors=11,
        refused=1,
        unsent=1,
        longest_wait_seconds=2.5,
        problems={"HTTP 503: away": 1},
    )


def test_a_report_is_kept_twice_and_can_be_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = record().data()
    stored, text = keep(data, markdown(data), tmp_path)
    assert stored.name == "kill-leader-20261127T103000.json"
    assert json.loads(stored.read_text(encoding="utf-8")) == json.loads(json.dumps(data))
    assert main(["report", str(stored)]) == Exit.OK
    assert capsys.readouterr().out.strip() == text.read_text(encoding="utf-8").strip()


def test_the_text_names_thresholds_figures_and_each_run() -> None:
    signals = replace(GOOD, problems={"HTTP 503: away": 4})
    text = markdown(record(signals=signals, note="a crowded machine").data())
    for told in (
        "Note: a crowded machine",
        "- 4: HTTP 503: away",
        "# Drill kill-leader: pass",
        "| 11 s | 5.00 s |",
        "p50 3.00 s",
        "| executed | 90 |",
        "0 of 18",
        "SIGKILL",
    ):
        assert told in text


def test_a_folder_of_reports_is_a_table_and_ends_with_1_unless_all_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = record().data(), record(signals=replace(GOOD, lost=3)).data()
    keep(good, "", tmp_path)
    assert main(["report", str(tmp_path)]) == Exit.OK
    keep({**bad, "drill": "rollout"}, "", tmp_path)
    assert main(["report", str(tmp_path)]) == Exit.FOUND
    assert "| rollout | fail | 2/2 |" in capsys.readouterr().out
    assert "| kill-leader | pass |" in summary([good])


@pytest.mark.parametrize("content", ["nothing", "[]", '{"format": 99}'])
def test_what_is_no_report_is_said_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(content, encoding="utf-8")
    assert main(["report", str(file)]) == Exit.USAGE
    assert str(file) in capsys.readouterr().err


def test_an_empty_folder_has_no_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == Exit.OK
    assert "no reports in" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "none")]) == Exit.USAGE
