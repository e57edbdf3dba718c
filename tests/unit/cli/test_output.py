"""What commands print, to people, pipes and programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratchet.cli.output import Output

ROWS: list[dict[str, Any]] = [{"name": "a", "n": 1, "ok": True}, {"name": "tab\there", "n": None, "ok": False}]


def test_a_pipe_gets_lines_with_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).rows("Things", ("name", "n", "ok"), ROWS)
    assert capsys.readouterr().out == "name\tn\tok\na\t1\tyes\ntab here\t\tno\n"


def test_a_program_gets_json(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=True)
    out.line("not data")
    out.remark("nor this")
    out.rows("Things", ("name",), ROWS)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == ROWS
    assert captured.err == ""


def test_a_pipe_sees_no_remark_and_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False)
    out.remark("for people")
    with out.progress("sending", 3) as bar:
        assert bar is None
    assert capsys.readouterr() == ("", "")


def test_an_error_is_always_told_on_the_other_stream(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).error("no [such] thing")
    assert capsys.readouterr() == ("", "error: no [such] thing\n")


def test_facts_are_told_by_name_and_what_says_nothing_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).facts({"short": 1, "much longer": {"kind": "sqlite", "cause": None, "ready": {"now": True}}})
    assert capsys.readouterr().out == "short        1\nmuch longer  kind sqlite, ready now yes\n"
