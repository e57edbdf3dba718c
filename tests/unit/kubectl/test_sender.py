"""The program that sends during a drill: a pace, whole trades, repeats, and an end for every message."""

from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ratchet.cli.load import STEPS, TRADES_APART
from ratchet.cli.samples import MARKETS
from ratchet.clock import SystemClock
from ratchet.kubectl.drills import sender
from ratchet.kubectl.drills.sender import Lane
from ratchet.kubectl.drills.sending import tally
from tests.servers.waiting import eventually_true
from tests.unit.cli.answering import answering

TAKEN = {"id": "5e1f", "status": "executed", "duplicate": None, "reason": "filled"}


def test_a_lane_waits_a_minute_before_its_next_entry() -> None:
    lane = Lane("load-01", MARKETS[0], 0)
    now = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
    assert lane.due(now)
    lane.next_at = now + TRADES_APART
    assert not lane.due(now + timedelta(seconds=60))
    assert lane.due(now + timedelta(seconds=61))
    lane.busy = True
    assert not lane.due(now + timedelta(seconds=61))


def test_a_trade_has_five_different_signals_and_one_of_them_is_repeated() -> None:
    lane = Lane("load-01", MARKETS[0], 0)
    sent = [found for _ in range(2) for found in lane.messages(SystemClock())]
    assert len(sent) == 2 * len(STEPS)
    assert sum(repeat for _, repeat in sent) == 2
    bars = [message.stamp for message, _ in sent if message.kind == "MARKET_DATA"]
    assert bars == sorted(set(bars)), "two bars of one lane and second are one"


def test_it_sends_until_told_to_stop_and_tells_every_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = tmp_path / "stop"
    monkeypatch.setenv("RATCHET_API_TOKEN", "token-0123456789abcdef")
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    with answering((503, {"title": "later"}), (202, TAKEN)) as service:
        monkeypatch.setenv("RATCHET_URL", service.url)
        words = ["--accounts", "load-01", "--rate", "100", "--stop-file", str(stop), "--limit", "60"]
        running = threading.Thread(target=sender.main, args=(words,))
        running.start()
        eventually_true(lambda: len(service.asked) > 8, within=20)
        stop.touch()
        running.join(timeout=30)
    assert not running.is_alive()
    *lines, last = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert last == {"end": True}
    found = tally(lines)
    assert (found.refused, found.unsent, found.lost) == (0, 0, 0)
    assert found.client_errors == 1
    assert found.sent >= 5
    assert Counter(line["repeat"] for line in lines)[True] >= 1
