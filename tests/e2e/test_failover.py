"""The leader dies in every way: another takes over in time, and no signal is lost or doubled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from tests.e2e.release import Release, asked, breaks, fault, now, slow, until
from tests.e2e.traffic import Load

pytestmark = [asked, pytest.mark.timeout(400)]

LEASE_SECONDS = 10.0
DEADLINE_SECONDS = 6.0
CLEAN_SECONDS = 5.0
"""A leader that is told to go hands over; most of this is kubectl, kubelet and the end of its work."""
CRASH_SECONDS = LEASE_SECONDS + 2
"""The lease and a second; another one goes to the program that breaks the cluster."""
BACK_SECONDS = 15.0
"""After an outage of the API server."""
TAIL_SECONDS = 3.0


def away_from_the_database(release: Release) -> tuple[str, str]:
    """Let a leader lead that is on another node than the bundled servers; return its pod and node."""
    database = release.pods("postgres")[0]["spec"]["nodeName"]
    release.kubectl("wait", "--for=condition=Ready", "pod", "--selector=app.kubernetes.io/component=leader")
    pod = next(pod for pod in release.pods("leader") if pod["spec"]["nodeName"] != database)
    name = pod["metadata"]["name"]
    if release.leader()["metadata"]["name"] != name:
        release.kubectl("annotate", "lease", "ratchet-leader", f"ratchet.dev/hand-over-to={name}", "--overwrite")
        until(lambda: release.leader()["metadata"]["name"] == name, within=20)
    return name, pod["spec"]["nodeName"]


def gave_up(release: Release, pod: str, since: datetime) -> bool:
    """Whether a leader has said since that it leads no more: by the clock, or because the database told it so."""
    told = [json.loads(line) for line in release.kubectl("logs", pod).splitlines()]
    lost = [line for line in told if line["event"] in ("leadership_lost", "fenced_out")]
    return any(datetime.fromisoformat(line["ts"]) > since for line in lost)


@contextmanager
def mended(*arguments: str) -> Iterator[None]:
    """Mend the cluster afterwards, whatever happens."""
    try:
        yield
    finally:
        fault(*arguments)


def test_a_deleted_leader_hands_over_and_no_request_fails(release: Release) -> None:
    with Load(release.door()) as load:
        load.run(TAIL_SECONDS)
        epoch, begun = release.epoch(), now()
        release.kubectl("delete", "pod", release.leader()["metadata"]["name"], "--wait=false")
        release.takeover(epoch, begun, within=CLEAN_SECONDS)
        load.run(TAIL_SECONDS)
    release.unharmed(load.account)


@breaks
def test_a_killed_leader_is_followed_within_the_lease(release: Release) -> None:
    with Load(release.door()) as load:
        load.run(TAIL_SECONDS)
        leader = release.leader()["metadata"]["name"]
        epoch, begun = release.epoch(), now()
        fault("kill", release.namespace, leader)
        release.takeover(epoch, begun, within=CRASH_SECONDS)
    release.unharmed(load.account)


@slow
@breaks
def test_a_leader_that_wakes_up_after_its_lease_writes_nothing(release: Release) -> None:
    with Load(release.door()) as load:
        load.run(TAIL_SECONDS)
        leader = release.leader()["metadata"]["name"]
        epoch, begun = release.epoch(), now()
        with mended("thaw", release.namespace, leader):
            fault("freeze", release.namespace, leader)
            release.takeover(epoch, begun, within=CRASH_SECONDS)
            load.run(TAIL_SECONDS)
        until(lambda: gave_up(release, leader, begun), within=15)
        load.run(TAIL_SECONDS)
    release.unharmed(load.account)


@slow
@breaks
@pytest.mark.parametrize(("breaking", "mending"), [("cut", "heal"), ("crash", "start")])
def test_a_leader_whose_node_is_gone_is_followed_within_the_lease(
    release: Release, breaking: str, mending: str
) -> None:
    _, node = away_from_the_database(release)
    with Load(release.door()) as load:
        load.run(TAIL_SECONDS)
        epoch, begun = release.epoch(), now()
        with mended(mending, node):
            fault(breaking, node)
            release.takeover(epoch, begun, within=CRASH_SECONDS)
            load.run(TAIL_SECONDS)
        release.kubectl("wait", "--for=condition=Ready", f"node/{node}", "--timeout=90s")
        release.ready()
        load.run(TAIL_SECONDS)
    release.account_for(load.account)


@slow
@breaks
def test_a_leader_without_the_api_server_stops_in_time_and_no_request_fails(release: Release) -> None:
    leader, node = away_from_the_database(release)
    with Load(release.door()) as load:
        load.run(TAIL_SECONDS)
        epoch, begun = release.epoch(), now()
        with mended("heal-api", node):
            fault("cut-api", node)
            release.takeover(epoch, begun, within=CRASH_SECONDS)
            load.run(TAIL_SECONDS)
        until(lambda: gave_up(release, leader, begun), within=15)
    release.unharmed(load.account)


@slow
@breaks
@pytest.mark.parametrize(("breaking", "mending"), [("hang-api", "resume-api"), ("kill-api", "start-api")])
def test_signal_pods_do_not_notice_an_api_server_that_is_away_and_a_leader_comes_back(
    release: Release, breaking: str, mending: str
) -> None:
    door = release.door()
    with Load(door) as load:
        load.run(TAIL_SECONDS)
        epoch = release.epoch()
        with mended(mending):
            fault(breaking)
            load.run(DEADLINE_SECONDS + LEASE_SECONDS)
            begun = now()
        release.takeover(epoch, begun, within=BACK_SECONDS)
        load.run(TAIL_SECONDS)
    release.unharmed(load.account)
