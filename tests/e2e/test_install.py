"""From nothing to the first executed signal, and back to nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ratchet.cli.samples import MARKETS, base_entry
from tests.e2e.release import READY_SECONDS, Release, asked, until
from tests.e2e.traffic import Door

pytestmark = [asked, pytest.mark.timeout(600)]


@pytest.fixture
def empty(image: str) -> Iterator[Release]:
    """A release that is not installed yet, in a namespace that is not there."""
    release = Release("e2e-install")
    release.remove()
    yield release
    release.remove()


def trades(door: Door) -> bool:
    """Whether the pods that answer have found the broker, and the leader has audited the order book."""
    seen = [door.call("GET", "/health", turn=turn, keep=False)[1] for turn in range(6)]
    return all(pod["sending"]["entries_on"] and pod["broker"]["mode"] for pod in seen)


def executed(release: Release) -> None:
    """Post an entry to the webhook: 202, executed, and its position is booked."""
    door = release.door()
    until(lambda: trades(door), within=90, tell=lambda: door.call("GET", "/health"))
    gold = next(market for market in MARKETS if market.instrument == "GOLD_MINI")
    body = json.dumps(base_entry(gold, datetime.now(UTC)).body).encode()
    status, receipt = door.call("POST", f"/webhook/{release.secret('webhook-token')}", body)
    assert status == 202
    path = f"/signals/{receipt['id']}"
    until(lambda: door.call("GET", path)[1]["status"] == "executed", within=30, tell=lambda: door.call("GET", path))
    (position,) = door.call("GET", "/positions")[1]["items"]
    assert (position["instrument"], position["status"], position["lots"]) == ("GOLD_MINI", "open", 2)


def left(release: Release) -> set[str]:
    """Return what of the release is still in its namespace."""
    kinds = release.kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
    names = release.kubectl("get", ",".join(kind for kind in kinds if "event" not in kind), "-o", "name").split()
    ours = "ratchet"
    return {name for name in names if ours in name and "endpoint" not in name}


KEPT = {
    *(f"secret/ratchet-{name}" for name in ("tokens", "postgres", "redis")),
    *(
        f"persistentvolumeclaim/{name}-0"
        for name in ("data-ratchet-postgres", "data-ratchet-redis", "book-ratchet-simulator")
    ),
    # Tests are no part of a release.
    "pod/ratchet-test",
    "configmap/ratchet-test",
}


def test_it_is_installed_trades_passes_its_test_and_leaves_nothing_but_secrets_and_volumes(empty: Release) -> None:
    began = time.monotonic()
    empty.begin()
    empty.ready()
    seconds = time.monotonic() - began
    print(f"ready {seconds:.0f} s after the namespace was made")
    assert seconds <= READY_SECONDS
    until(empty.leader, within=15)
    until(lambda: len(empty.running("signals")) == 2 and len(empty.running("leader")) == 2, within=30)
    executed(empty)
    assert "came to an end" in empty.helm("test", empty.name, "--logs")
    empty.audit()
    empty.helm("uninstall", empty.name, "--wait")
    until(lambda: left(empty) <= KEPT, within=90, tell=lambda: left(empty) - KEPT)
