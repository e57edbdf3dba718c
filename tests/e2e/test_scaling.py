"""The autoscaler, by what the pods really use: up under load, down after it."""

from __future__ import annotations

import time

import pytest

from ratchet.cli.samples import bar
from tests.e2e.release import Release, asked, slow, until
from tests.e2e.traffic import Load

pytestmark = [asked, slow, pytest.mark.timeout(400)]

BARS_PER_SECOND = 150.0
UP_SECONDS = 90.0
DOWN_SECONDS = 150.0


def replicas(release: Release) -> int:
    """Return how many pods the autoscaler wants."""
    return int(release.get("hpa", "ratchet-signals")["status"].get("desiredReplicas", 0))


def test_pods_come_with_the_load_and_go_after_it(release: Release) -> None:
    until(lambda: replicas(release) == 2 and len(release.pods("signals")) == 2, within=DOWN_SECONDS)
    began = time.monotonic()
    with Load(release.door(), per_second=BARS_PER_SECOND, steps=(bar,), accounts=50) as load:
        until(lambda: len(release.running("signals")) > 2, within=UP_SECONDS)
        print(f"a third pod was ready {time.monotonic() - began:.0f} s after the load began")
        load.run(5)
    ended = time.monotonic()
    print(release.kubectl("get", "hpa"))
    release.unharmed(load.account)
    until(lambda: len(release.pods("signals")) == 2, within=DOWN_SECONDS)
    print(f"two pods again {time.monotonic() - ended:.0f} s after it ended")
