"""What the shell is offered."""

from __future__ import annotations

import pytest

from ratchet.kubectl import complete
from ratchet.kubectl.commands import COMMANDS
from ratchet.kubectl.drills.definitions import DRILLS
from tests.unit.kubectl.fake import FakeKubectl


def offered(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[list[str], str]:
    assert complete(words) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    return lines, last


def test_the_first_word_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert offered(capsys, "") == (sorted(one.name for one in COMMANDS), ":4")
    assert offered(capsys, "f") == (["failover", "freeze"], ":4")


def test_a_drill_is_named_behind_drill(capsys: pytest.CaptureFixture[str]) -> None:
    assert offered(capsys, "drill", "") == (sorted(DRILLS), ":4")
    assert offered(capsys, "drill", "--runs", "3", "k") == (["kill-leader"], ":4")


def test_flags_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert offered(capsys, "failover", "--t")[0] == ["--to"]
    assert "--to" not in offered(capsys, "status", "--")[0]
    assert offered(capsys, "status", "-o", "j")[0] == ["json"]


def test_names_come_from_the_cluster_that_was_chosen(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    fake.when("get", "pods", says="leader-a leader-b")
    fake.when("get", "namespaces", says="blue red")
    assert offered(capsys, "failover", "-n", "trading", "--to", "")[0] == ["leader-a", "leader-b"]
    assert fake.calls("get", "pods")[0][:2] == ["--namespace", "trading"]
    assert offered(capsys, "status", "-n", "r")[0] == ["red"]


def test_a_cluster_that_does_not_answer_offers_nothing(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    assert offered(capsys, "failover", "--to", "") == ([], ":4")
    assert fake.calls("get", "pods")


def test_files_are_left_to_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert offered(capsys, "report", "") == ([], ":0")
    assert offered(capsys, "status", "--kubeconfig", "") == ([], ":0")
