"""A few seeds in every run; many by hand: `make soak`, `python -m tests.soak --seeds 1..500`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.soak import report
from tests.soak.play import Result, play
from tests.soak.schedule import INSTRUMENTS, SECONDS, draw
from tests.soak.site import Servers

SEEDS = (7, 11, 18)
"""With kills, pauses, an ill broker, a restart of each server, and orders placed by hand."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_invariant_is_violated_whatever_happens(seed: int, servers: Servers, tmp_path: Path) -> None:
    result = await play(servers, tmp_path / "soak", seed)
    assert result.findings == [], f"replay: python -m tests.soak --seed {seed}\n{json.dumps(result.diary, default=str)}"
    assert sum(result.counts["signals"].values()) > 0
    assert [entry["what"] for entry in result.diary][-2:] == ["at rest", "audited"]


def test_a_seed_stands_for_one_schedule() -> None:
    assert draw(5) == draw(5)
    assert draw(5) != draw(6)


def test_schedules_hurt_something_and_send_to_several_lanes() -> None:
    for seed in range(1, 50):
        schedule = draw(seed)
        assert len(schedule.failpoints) == schedule.services
        assert {act.what for act in schedule.acts} - {"market_rises"}, seed
        assert all(0 <= act.at <= SECONDS for act in schedule.acts)
        assert len({(signal.account, signal.instrument) for signal in schedule.signals}) >= len(INSTRUMENTS)


def test_orders_by_hand_come_only_to_accounts_that_are_shared() -> None:
    shared = {draw(seed).exclusive for seed in range(1, 200) if _has_a_twin(seed)}
    assert shared == {False}


def test_a_report_says_what_was_done_and_found_and_how_to_replay_it(tmp_path: Path) -> None:
    finding = {
        "invariant": "I1",
        "meaning": "each intent made at most one order",
        "count": 1,
        "rows": [{"intent": "x"}],
    }
    bad = Result(seed=9, findings=[finding], diary=[{"at": 0.5, "what": "kill_service", "which": 1}], folder="logs")
    report.write(tmp_path, [bad, Result(seed=8)])
    text = (tmp_path / "report.md").read_text()
    assert "python -m tests.soak --seed 9" in text
    assert "| 0.5 | kill_service | " in text
    summary = json.loads((tmp_path / "report.json").read_text())["summary"]
    assert (summary["schedules"], summary["violated"], summary["invariants"]) == (2, [9], {"I1": 1})


def _has_a_twin(seed: int) -> bool:
    return any(act.what == "foreign_twin" for act in draw(seed).acts)
