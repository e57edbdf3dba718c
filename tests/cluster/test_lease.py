"""The promises of leases and electors on a real API server, and what its absence does to them."""

from __future__ import annotations

import asyncio

import pytest

from leader.leadership import LeadershipLost
from tests.cluster.conftest import TIMES, Cluster
from tests.contract.leader.places import Place, Process, leading, several
from tests.contract.leader.promises import ClusterPromises
from tests.servers.waiting import eventually

pytestmark = pytest.mark.timeout(180)


class TestThePromises(ClusterPromises):
    """As anywhere."""


async def writes_of(process: Process, place: Place, written: list[int]) -> None:
    """Write as a duty does, whenever the process believes that it leads; note the epoch of each write."""
    while True:
        held = process.leadership
        if held is not None and held.valid:
            try:
                await place.fence.check(held)
                written.append(held.epoch)
            except LeadershipLost:
                held.end()
        await asyncio.sleep(0)


async def test_while_the_api_server_hangs_the_leader_steps_down_and_comes_back_by_itself(
    place: Place, cluster: Cluster
) -> None:
    async with several(place, "a", "b") as processes:
        await eventually(lambda: len(leading(processes)) == 1, within=20)
        before = leading(processes)[0].epochs[-1]
        written: list[int] = []
        writing = [asyncio.create_task(writes_of(process, place, written)) for process in processes]
        await asyncio.to_thread(cluster.fault, "hang-api")
        try:
            await eventually(lambda: all(p.leadership is None for p in processes), within=TIMES.renew_deadline + 3)
        finally:
            await asyncio.to_thread(cluster.fault, "resume-api")
        await eventually(lambda: len(leading(processes)) == 1, within=30)
        assert leading(processes)[0].epochs[-1] > before
        await eventually(lambda: written[-1] > before)
        for task in writing:
            task.cancel()
        await asyncio.wait(writing)
        assert written == sorted(written), "a write of an earlier epoch came after one of a later"
