"""kubectl ratchet against a real release: one screen, an orderly change of leader, and drills that pass."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from charts import helm
from ratchet.cli.exits import Exit
from ratchet.kubectl import main
from tests.e2e.release import FAULT, Release, asked, breaks, slow, until

pytestmark = [asked, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def kubectl_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubectl of these tests is the one that the command finds."""
    folder = Path(helm.find("kubectl") or "kubectl").parent
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def shown(capsys: pytest.CaptureFixture[str], release: Release, *words: str, code: int = Exit.OK) -> Any:
    """Return what a command prints as JSON; it has to end with `code`."""
    ended = main([*words, "--namespace", release.namespace, "--output", "json"])
    captured = capsys.readouterr()
    assert ended == code, f"{captured.err}\n{captured.out}"
    return json.loads(captured.out)


def drilled(capsys: pytest.CaptureFixture[str], release: Release, folder: Path, *words: str) -> dict[str, Any]:
    """Go through a drill, which has to pass, and return its report."""
    data: dict[str, Any] = shown(capsys, release, "drill", *words, "--folder", str(folder))
    assert (data["verdict"], data["reasons"]) == ("pass", [])
    assert data["signals"]["accepted"] == data["signals"]["sent"] > 0
    assert [file.suffix for file in sorted(folder.iterdir())] == [".json", ".md"]
    return data


def test_one_screen_shows_a_release_that_is_well(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, release, "status")
    assert found["trouble"] == []
    assert found["broker"]["kind"] == "simulator"
    assert {row["component"] for row in found["pods"]} >= {"signals", "leader", "postgres", "redis"}
    assert shown(capsys, release, "leader")["pod"] == found["leader"]["pod"]


def test_an_orderly_failover_changes_the_leader_and_raises_the_epoch(
    release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shown(capsys, release, "leader")
    done = shown(capsys, release, "failover")
    assert done["handed_over"]
    assert (done["from"], done["epoch_before"]) == (before["pod"], before["epoch"])
    assert done["to"] != before["pod"]


def test_a_freeze_is_shown_until_it_is_thawed(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, release, "freeze", "--reason", "a test")["entries_on"] is False

    def told() -> bool:
        trouble = shown(capsys, release, "status", code=Exit.FOUND)["trouble"]
        return any("sending of entries is stopped: a test (by kubectl" in one for one in trouble)

    until(told, within=10)  # each pod looks at the database once a second
    assert shown(capsys, release, "thaw", "--reason", "a test")["entries_on"] is True


def test_a_deleted_leader_passes_its_drill(
    release: Release, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = drilled(capsys, release, tmp_path, "delete-leader")
    assert [moment["what"].partition(":")[0] for moment in data["runs"][0]["timeline"]].count("LeaderElected") == 1


@slow
@pytest.mark.parametrize("name", ["kill-leader", "pause-leader", "delete-lease", "scale-down", "restart-postgres"])
def test_other_faults_pass_theirs(
    release: Release, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    drilled(capsys, release, tmp_path, name)


@slow
@breaks
@pytest.mark.parametrize("name", ["api-outage", "cut-node"])
def test_faults_from_outside_pass_theirs(
    release: Release, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    drilled(capsys, release, tmp_path, name, "--fault-command", FAULT)
