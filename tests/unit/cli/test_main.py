"""The command line itself: help that teaches, exit codes, and what the commands do without a service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ratchet.cli import main
from ratchet.cli.commands import COMMANDS
from ratchet.cli.exits import MEANINGS, Exit
from tests.servers.process import free_port
from tests.unit.cli.answering import answering

HEALTH = (200, {"status": "ok", "version": "0.1.0"})
EMPTY: tuple[int, dict[str, object]] = (200, {"items": [], "next": None})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of our own, and a port where nobody listens."""
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    monkeypatch.setenv("RATCHET_URL", f"http://127.0.0.1:{free_port()}")
    return tmp_path


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command and return its exit code and what it printed."""
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_names_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output_of(capsys, "--help")
    assert code == Exit.OK
    for command in COMMANDS:
        assert command.name in out
    for meaning in MEANINGS.values():
        assert meaning in out


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_help_of_each_command_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output_of(capsys, command, "--help")
    assert code == Exit.OK
    assert "examples:" in out and f"ratchet {command}" in out
    assert "--json" in out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("send",),
        ("send", "--samples", "--load", "5"),
        ("send", "--load", "0"),
        ("send", "--load", "5", "--duplicates", "0.9"),
        ("migrate",),
        ("migrate", "down", "base"),
        ("migrate", "up", "nowhere"),
        ("kill-switch", "on"),
        ("incidents", "show", "not-an-id"),
    ],
)
def test_a_command_line_without_sense_ends_with_2(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert output_of(capsys, *arguments)[0] == Exit.USAGE


def test_wrong_settings_end_with_4_and_name_the_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_HTTP_PORT", "many")
    code, _, err = output_of(capsys, "config", "check")
    assert code == Exit.CONFIGURATION
    assert "RATCHET_HTTP_PORT" in err


def test_settings_are_shown_without_their_secrets(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    code, out, _ = output_of(capsys, "config", "show", "--json")
    assert code == Exit.OK
    assert json.loads(out)["RATCHET_HTTP_PORT"] == "8080"
    assert (home / "api_token").read_text().strip() not in out


def test_the_schema_is_checked_made_and_taken_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert output_of(capsys, "migrate", "check")[0] == Exit.FOUND
    assert output_of(capsys, "migrate", "up")[0] == Exit.OK
    code, out, _ = output_of(capsys, "migrate", "check", "--json")
    assert (code, json.loads(out)["ok"]) == (Exit.OK, True)
    assert output_of(capsys, "migrate", "down", "base", "--yes")[0] == Exit.OK
    assert output_of(capsys, "migrate", "check")[0] == Exit.FOUND


def test_what_needs_the_database_says_how_to_prepare_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = output_of(capsys, "kill-switch", "show")
    assert code == Exit.UNREACHABLE
    assert "ratchet migrate up" in err


def test_the_kill_switch_stops_entries_then_all_and_permits_all(capsys: pytest.CaptureFixture[str]) -> None:
    output_of(capsys, "migrate", "up")

    def switches(*arguments: str) -> tuple[bool, bool]:
        code, out, _ = output_of(capsys, "kill-switch", *arguments, "--json")
        assert code == Exit.OK
        shown = json.loads(out)
        assert shown["on_the_way"] == []
        return shown["entries_on"], shown["exits_on"]

    assert switches("show") == (True, True)
    assert switches("on", "--reason", "odd fills") == (False, True)
    assert switches("on", "--all", "--reason", "wrong broker") == (False, False)
    assert switches("on", "--reason", "again") == (False, False)
    assert switches("off", "--reason", "looked into it") == (True, True)


def test_an_incident_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    output_of(capsys, "migrate", "up")
    assert output_of(capsys, "incidents", "list", "--json")[:2] == (Exit.OK, "[]\n")
    unknown = "00000000-0000-0000-0000-000000000000"
    assert output_of(capsys, "incidents", "show", unknown)[0] == Exit.USAGE
    code, _, err = output_of(capsys, "incidents", "decide", unknown, "--why", "x")
    assert code == Exit.USAGE and unknown in err


@pytest.mark.parametrize("command", [("status",), ("positions",), ("send", "--samples")])
def test_a_service_that_is_away_ends_with_3(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = output_of(capsys, *command)
    assert code == Exit.UNREACHABLE
    assert "ratchet run" in err


def test_status_complains_about_open_incidents(capsys: pytest.CaptureFixture[str]) -> None:
    incident = (200, {"items": [{"id": "x", "kind": "orphan"}], "next": None})
    with answering(HEALTH, EMPTY, EMPTY) as service:
        assert output_of(capsys, "status", "--url", service.url)[0] == Exit.OK
    with answering(HEALTH, EMPTY, incident) as service:
        assert output_of(capsys, "status", "--url", service.url)[0] == Exit.FOUND


def test_status_counts_what_waits_by_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    page = (200, {"items": [{"id": "1"}, {"id": "2"}], "next": None})
    with answering(HEALTH, EMPTY, EMPTY, page, EMPTY, page) as service:
        _, out, _ = output_of(capsys, "status", "--url", service.url, "--json")
    assert json.loads(out)["queue"] == {"accepted": 2, "processing": 0, "review": 2}
    assert [path.partition("status=")[2].partition("&")[0] for _, path, *_ in service.asked[3:]] == [
        "accepted",
        "processing",
        "review",
    ]


def test_signals_are_listed_as_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    signal = {
        "received_at": "2027-01-11T05:30:00.123456Z",
        "account": "main",
        "instrument": "COPPER",
        "kind": "BASE_ENTRY",
        "layer": "Long_1",
        "status": "review",
        "reason": None,
        "id": "5e1f",
    }
    words = ("--instrument", "copper", "--status", "review", "--most", "3")
    with answering((200, {"items": [signal], "next": None})) as service:
        code, out, _ = output_of(capsys, "signals", "--url", service.url, *words)
    assert code == Exit.OK
    assert "2027-01-11T05:30:00\tmain\tCOPPER\tBASE_ENTRY\tLong_1\treview\t\t5e1f" in out
    asked = service.asked[0][1]
    assert [one for one in ("instrument=COPPER", "status=review", "limit=3") if one not in asked] == []


def test_positions_are_listed_with_what_they_hold(capsys: pytest.CaptureFixture[str]) -> None:
    position = {
        "account": "main",
        "instrument": "GOLD_MINI",
        "layer": 1,
        "status": "open",
        "lots": 2,
        "entry_price": "134870",
        "stop": "133070",
        "realised": "0",
        "entry_at": "2027-01-11T05:30:00.123456Z",
        "holdings": [{"exchange": "MCX", "symbol": "GOLDM05FEB27FUT", "quantity": 200}],
    }
    with answering((200, {"items": [position], "next": None})) as service:
        code, out, _ = output_of(capsys, "positions", "--url", service.url, "--instrument", "gold_mini")
    assert code == Exit.OK
    assert "Long_1" in out and "+200 GOLDM05FEB27FUT" in out
    assert "instrument=GOLD_MINI" in service.asked[0][1] and "live=true" in service.asked[0][1]


def test_a_file_of_messages_is_sent_line_by_line(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    file = home / "signals.jsonl"
    file.write_text(
        '{"type": "EXIT", "instrument": "COPPER", "price": 918.35}\n\n{"type": "EXIT", "instrument": "TIN"}\n'
    )
    accepted = (202, {"id": "id-1", "status": "accepted", "duplicate": None, "request_id": "r"})
    refused = (400, {"title": "Invalid", "field": "instrument", "rule": "V03"})
    ended = (200, {"status": "executed", "reason": "no_open_position"})
    with answering(EMPTY, accepted, refused, ended) as service:
        code, out, _ = output_of(capsys, "send", str(file), "--to", service.url)
    assert code == Exit.FOUND
    assert b"918.35" in service.asked[1][3]
    lines = out.splitlines()
    assert lines[1].split("\t")[3:6] == ["new", "executed", "no_open_position"]
    assert "V03" in lines[2]


def test_a_file_that_is_no_json_is_refused_before_anything_is_sent(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    file = home / "signals.jsonl"
    file.write_text('{"type": "EXIT"}\nnonsense\n')
    with answering(EMPTY) as service:
        code, _, err = output_of(capsys, "send", str(file), "--to", service.url)
    assert code == Exit.USAGE
    assert "line 2" in err
    assert len(service.asked) == 1
