"""A few seeds in every run; many by hand: `make soak`, `python -m tests.soak --seeds 1..500`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster
from tests.soak import report
from tests.soak.api_server import TIMES
from tests.soak.play import Result, play
from tests.soak.schedule import INSTRUMENTS, SECONDS, Schedule, draw
from tests.soak.site import Servers

SEEDS = (7, 11, 18)
"""With kills, pauses, an ill broker, a restart of each server, and orders placed by hand."""
IN_CLUSTER = 19
"""Its leaders lose an API server that hangs, and one that refuses."""
OF_PLACES = {"lose_lease", "lose_api", "freeze_leader"}
"""Acts that depend on where leaders are elected."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_invariant_is_violated_whatever_happens(seed: int, servers: Servers, tmp_path: Path) -> None:
    result = await play(servers, tmp_path / "soak", seed)
    assert result.findings == [], f"replay: python -m tests.soak --seed {seed}\n{json.dumps(result.diary, default=str)}"
    assert sum(result.counts["signals"].values()) > 0
    done = [entry["what"] for entry in result.diary]
    assert done.index("at rest") < done.index("audited")


@pytest.mark.timeout(240)
async def test_leaders_that_lose_the_api_server_violate_nothing_and_leave_no_lease(
    cluster: Cluster, servers: Servers, tmp_path: Path
) -> None:
    result = await play(servers, tmp_path / "soak", IN_CLUSTER, cluster=cluster)
    diary = json.dumps(result.diary, default=str)
    assert result.findings == [], f"replay: python -m tests.soak --seed {IN_CLUSTER}\n{diary}"
    assert result.leaders == "kubernetes" and result.counts["leadership"]["leader_elected"] > 0
    lost = {entry["how"] for entry in result.diary if entry["what"] == "the API server is lost"}
    assert lost == {"hang", "refuse"}
    (namespace,) = (entry["namespace"] for entry in result.diary if "namespace" in entry)
    assert cluster.kubectl("get", "leases", "--namespace", namespace, "--output", "name") == ""


def test_where_something_rolls_a_third_of_the_leaders_is_elected_in_the_cluster_if_there_is_one() -> None:
    seeds = range(1, 400)
    in_cluster = [seed for seed in seeds if draw(seed, cluster=True).in_cluster]
    assert 0.25 < len(in_cluster) / sum(draw(seed).rolls for seed in seeds) < 0.42
    assert not any(draw(seed).in_cluster for seed in seeds)
    for seed in seeds:
        here, there = draw(seed), draw(seed, cluster=True)
        assert there == here or (here.rolls and seed in in_cluster)
        assert replace(_elsewhere(there), leader_failpoints=here.leader_failpoints) == _elsewhere(here)


def test_an_api_server_is_lost_for_longer_than_the_lease_in_every_schedule_in_the_cluster() -> None:
    acts = [act for seed in range(1, 200) for act in draw(seed, cluster=True).acts if act.what == "lose_api"]
    assert min(act.detail["seconds"] for act in acts) > float(TIMES["LEADER__LEASE_DURATION_SECONDS"])
    assert {(act.detail["how"], act.detail["everyone"]) for act in acts} == {
        (how, everyone) for how in ("hang", "refuse") for everyone in (True, False)
    }
    schedules = [draw(seed, cluster=True) for seed in range(1, 200)]
    assert all(("lose_api" in _acts(schedule)) == schedule.in_cluster for schedule in schedules)


def test_leaders_in_the_cluster_stall_for_longer_than_its_lease() -> None:
    lease = float(TIMES["LEADER__LEASE_DURATION_SECONDS"])
    schedules = [draw(seed, cluster=True) for seed in range(1, 400)]
    armed = [one for schedule in schedules if schedule.in_cluster for one in schedule.leader_failpoints]
    stalls = [float(one.split(":")[2]) for one in armed if ":pause:" in one]
    freezes = [
        act.detail["seconds"]
        for schedule in schedules
        if schedule.in_cluster
        for act in schedule.acts
        if act.what == "freeze_leader"
    ]
    assert stalls and freezes and min(*stalls, *freezes) > lease


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


def _acts(schedule: Schedule) -> set[str]:
    return {act.what for act in schedule.acts}


def _elsewhere(schedule: Schedule) -> Schedule:
    """Return what is the same wherever leaders are elected; what leaders are armed with is left in."""
    acts = tuple(act for act in schedule.acts if act.what not in OF_PLACES)
    return replace(schedule, acts=acts, in_cluster=False)


def _has_a_twin(seed: int) -> bool:
    return any(act.what == "foreign_twin" for act in draw(seed).acts)
