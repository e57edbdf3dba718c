"""What an administrator does to pods and nodes while signals arrive: no request fails, no signal is lost or doubled."""

from __future__ import annotations

import pytest

from tests.e2e.release import Release, asked, breaks, fault, slow, until
from tests.e2e.traffic import Load

pytestmark = [asked, pytest.mark.timeout(400)]

TAIL_SECONDS = 3.0
"""How long the load goes on after it."""


def test_a_rolling_update_and_a_deleted_pod_fail_no_request(release: Release) -> None:
    with Load(release.door()) as load:
        load.run(TAIL_SECONDS)
        release.kubectl("rollout", "restart", "deployment/ratchet-signals", "deployment/ratchet-leader")
        release.ready()
        release.kubectl("delete", "pod", release.running("signals")[0], "--wait=true")
        release.ready()
        load.run(TAIL_SECONDS)
    release.unharmed(load.account)


@slow
def test_a_scale_down_fails_no_request(release: Release) -> None:
    release.kubectl("scale", "deployment/ratchet-signals", "--replicas=5")
    until(lambda: len(release.running("signals")) >= 4, within=90)
    with Load(release.door()) as load:
        until(lambda: len(release.pods("signals")) == 2, within=120)  # by the autoscaler
        load.run(TAIL_SECONDS)
    release.unharmed(load.account)


@slow
def test_a_drained_node_fails_no_request(release: Release) -> None:
    # The node of the database has no second pod to take over, so another one is emptied.
    database = release.pods("postgres")[0]["spec"]["nodeName"]
    node = next(pod["spec"]["nodeName"] for pod in release.pods("signals") if pod["spec"]["nodeName"] != database)
    with Load(release.door()) as load:
        load.run(TAIL_SECONDS)
        try:
            release.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=180s")
            release.ready()
            load.run(TAIL_SECONDS)
        finally:
            release.kubectl("uncordon", node)
    release.unharmed(load.account)


@slow
@pytest.mark.parametrize("component", ["postgres", "redis", "simulator"])
def test_a_bundled_server_restarts_without_loss(release: Release, component: str) -> None:
    (pod,) = release.pods(component)
    with Load(release.door()) as load:
        load.run(TAIL_SECONDS)
        release.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=true")
        release.ready()
        load.run(TAIL_SECONDS)
    if component == "redis":
        release.unharmed(load.account)  # it decides nothing
    else:
        release.account_for(load.account)


@slow
@breaks
def test_a_killed_database_loses_nothing(release: Release) -> None:
    with Load(release.door()) as load:
        load.run(TAIL_SECONDS)
        fault("kill", release.namespace, "ratchet-postgres-0")
        until(lambda: release.pods("postgres")[0]["status"]["containerStatuses"][0]["restartCount"], within=60)
        release.ready()
        load.run(TAIL_SECONDS)
    release.account_for(load.account)
