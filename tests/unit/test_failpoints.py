"""Failpoints do what their specification says, once, and nothing when they are not armed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratchet import failpoints
from ratchet.failpoints import ConnectionCut, Failpoint, FailpointRaised, arm, disarm, reach


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    disarm()


def test_every_crash_point_of_the_protocol_has_a_name() -> None:
    assert [point.value for point in Failpoint] == [f"K{n}" for n in range(1, 21)]


async def test_a_place_that_is_not_armed_does_nothing() -> None:
    arm("K9:raise")
    await reach(Failpoint.K8)
    disarm()
    await reach(Failpoint.K9)


async def test_raise_and_cut_fire_once() -> None:
    arm("K5:raise,K9:cut")
    with pytest.raises(FailpointRaised, match="K5"):
        await reach(Failpoint.K5)
    with pytest.raises(ConnectionCut, match="K9") as caught:
        await reach(Failpoint.K9)
    assert isinstance(caught.value, ConnectionResetError)
    await reach(Failpoint.K5)
    await reach(Failpoint.K9)


async def test_the_nth_passing_fires() -> None:
    arm("K5:raise:3")
    await reach(Failpoint.K5)
    await reach(Failpoint.K5)
    with pytest.raises(FailpointRaised):
        await reach(Failpoint.K5)


async def test_one_point_can_be_armed_for_several_passings() -> None:
    arm("K5:raise:1,K5:cut:2")
    with pytest.raises(FailpointRaised):
        await reach(Failpoint.K5)
    with pytest.raises(ConnectionCut):
        await reach(Failpoint.K5)


async def test_a_pause_stops_the_whole_process() -> None:
    arm("K20:pause:0.05")
    began = time.monotonic()
    await reach(Failpoint.K20)
    assert time.monotonic() - began >= 0.05


async def test_firing_leaves_a_mark(tmp_path: Path) -> None:
    marker = tmp_path / "fired"
    arm("K5:raise,K6:pause:0", marker)
    with pytest.raises(FailpointRaised):
        await reach(Failpoint.K5)
    await reach(Failpoint.K6)
    assert marker.read_text() == "K5:raise\nK6:pause\n"


def test_kill_ends_the_process_after_leaving_its_mark(tmp_path: Path) -> None:
    marker = tmp_path / "fired"
    code = (
        "import asyncio, pathlib; from ratchet.failpoints import *; "
        f"arm('K8:kill', pathlib.Path({str(marker)!r})); asyncio.run(reach(Failpoint.K8)); print('alive')"
    )
    root = Path(failpoints.__file__).parents[1]
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, timeout=30, env={**os.environ})
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b"")
    assert marker.read_text() == "K8:kill\n"


@pytest.mark.parametrize(
    "spec",
    [
        "K8",
        "K21:kill",
        "K8:explode",
        "K8:kill:0",
        "K8:kill:x",
        "K8:pause",
        "K8:pause:-1",
        "K8:pause:inf",
        "K8:kill:1:2",
    ],
)
def test_an_unreadable_entry_is_named(spec: str) -> None:
    with pytest.raises(ValueError, match=f"failpoint '{spec}'"):
        arm(spec)
