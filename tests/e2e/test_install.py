"""From nothing to the first executed signal, and back to nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from charts import helm
from ratchet.cli.samples import MARKETS, base_entry
from tests.e2e.release import IMAGE, READY_SECONDS, VALUES, Release, asked, slow, until
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


README = helm.CHART.parents[1] / "README.md"


@pytest.fixture
def as_in_the_readme(image: str) -> Iterator[Release]:
    """The release that its commands make: in a namespace that may be somebody's, and is left alone then."""
    release = Release("ratchet")
    if "namespace/ratchet" in release.kubectl("get", "namespaces", "-o", "name").split():
        pytest.skip("this cluster has a namespace ratchet: it is not ours to remove")
    yield release
    release.remove()


def written_commands(tmp_path: Path) -> str:
    """Return the commands of the README's part on Kubernetes, their first line with the values of this cluster."""
    (block,) = re.findall(r"## On Kubernetes\n.*?```sh\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    first, _, rest = block.partition("\n")
    assert first.startswith("values=")
    repository, tag = IMAGE.rsplit(":", 1)
    image = tmp_path / "image.yaml"
    image.write_text(f"image: {{repository: {repository}, tag: {tag}}}\n", "utf-8")
    return f"set -e\nvalues={VALUES},{image}\n{rest}"


@slow
def test_the_commands_of_the_readme_install_it_and_a_bar_is_accepted(as_in_the_readme: Release, tmp_path: Path) -> None:
    programs = [str(Path(helm.find(name) or name).parent) for name in ("helm", "kubectl")]
    path = os.pathsep.join([str(Path(sys.executable).parent), *programs, os.environ["PATH"]])
    said = tmp_path / "printed"
    began = time.monotonic()
    with said.open("wb") as out:
        shell = subprocess.Popen(
            ["bash", "-c", written_commands(tmp_path)],
            cwd=README.parent,
            env={**os.environ, "PATH": path},
            stdout=out,
            stderr=out,
            start_new_session=True,  # with the port-forward that it leaves
        )
    try:
        shell.wait(timeout=READY_SECONDS + 60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGTERM)
    printed = said.read_text("utf-8")
    print(printed)
    assert time.monotonic() - began <= READY_SECONDS + 30
    assert re.search(r'"status":"accepted".*  202\n', printed)
    for shown in ("pod/ratchet-signals-", "autoscaling/ratchet-signals", "io/ratchet-leader", "LeaderElected", "epoch"):
        assert shown in printed
    as_in_the_readme.ready()
    as_in_the_readme.audit()
