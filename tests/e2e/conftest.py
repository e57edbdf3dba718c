"""The release that most tests share, and the audit after each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.release import IMAGE, LOAD, Release, run

SCALING = (
    "autoscaling.cpuUtilization=50",
    "autoscaling.behavior.scaleDown.stabilizationWindowSeconds=15",
    "autoscaling.behavior.scaleDown.policies[0].type=Pods",
    "autoscaling.behavior.scaleDown.policies[0].value=4",
    "autoscaling.behavior.scaleDown.policies[0].periodSeconds=15",
)


@pytest.fixture(scope="session")
def image() -> str:
    """The image, brought to the nodes if that was asked for."""
    if LOAD:
        run(*LOAD, IMAGE)
    return IMAGE


@pytest.fixture(scope="session")
def shared(image: str) -> Iterator[Release]:
    """One release for all tests, with whatever must not move on the first node."""
    first = min(Release("default").nodes())
    pinned = [
        f"{part}.nodeSelector.kubernetes\\.io/hostname={first}"
        for part in ("postgres.bundled", "redis.bundled", "simulator")
    ]
    release = Release("e2e-shared", ["--set", ",".join([*SCALING, *pinned])])
    release.remove()
    release.begin()
    release.ready()
    yield release
    release.remove()


@pytest.fixture
def release(shared: Release) -> Iterator[Release]:
    """The shared release, whole before the test, and audited after it."""
    shared.ready()
    yield shared
    shared.ready()
    shared.audit()
