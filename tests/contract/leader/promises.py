"""The suite: what a lease and its electors promise wherever the lease is kept. Each place derives its tests from it."""

from __future__ import annotations

import pytest

from leader.lease import LeaseConflict
from tests.contract.leader.places import Place, leading, several, start
from tests.servers.waiting import eventually


class LeasePromises:
    """Of the record alone."""

    async def test_it_can_be_made_once_and_replaced_only_from_its_latest_version(self, place: Place) -> None:
        lease = await place.open()
        assert await lease.get() is None
        made = await lease.create(holder="a", duration_seconds=5)
        assert (made.holder, made.duration_seconds, made.transitions) == ("a", 5, 0)
        with pytest.raises(LeaseConflict):
            await lease.create(holder="b", duration_seconds=5)
        renewed = await lease.replace(made, holder="a", duration_seconds=5, transitions=0)
        assert renewed.version != made.version and renewed.uid == made.uid
        with pytest.raises(LeaseConflict):
            await lease.replace(made, holder="b", duration_seconds=5, transitions=1)
        assert await lease.get() == renewed
        await lease.close()

    async def test_a_wait_ends_with_what_another_process_wrote(self, place: Place) -> None:
        mine, other = await place.open(), await place.open()
        seen = await mine.create(holder="a", duration_seconds=5)
        read = await other.get()
        assert read == seen
        written = await other.replace(read, holder="b", duration_seconds=5, transitions=1)
        assert await mine.wait(seen, 1.0) == written
        assert await mine.wait(written, 0.1) == written
        await mine.close()
        await other.close()


class ElectorPromises:
    """Of several electors on one lease and one fence."""

    async def test_a_leader_that_stops_is_followed_without_waiting_for_its_lease(self, place: Place) -> None:
        async with several(place, "a", "b", "c") as processes:
            await eventually(lambda: len(leading(processes)) == 1, within=10)
            first = leading(processes)[0]
            first.elector.stop()
            others = [p for p in processes if p is not first]
            await eventually(lambda: len(leading(others)) == 1, within=place.times.lease_duration * 0.9)
            assert leading(others)[0].epochs == [first.epochs[0] + 1]

    async def test_a_leader_that_dies_is_followed_after_its_lease_under_an_epoch_of_its_own(self, place: Place) -> None:
        async with several(place, "a", "b") as processes:
            await eventually(lambda: len(leading(processes)) == 1, within=10)
            first = leading(processes)[0]
            await first.die()
            processes.append(await start(place, "c"))
            await eventually(lambda: len(leading(processes)) == 1, within=place.times.lease_duration + 5)
            epochs = [epoch for process in processes for epoch in process.epochs]
            assert len(epochs) == len(set(epochs)) == 2

    async def test_a_leader_that_is_overwritten_stands_by_until_that_lease_runs_out(self, place: Place) -> None:
        async with several(place, "a") as processes:
            lease = await place.open()
            await eventually(lambda: processes[0].leads, within=10)

            async def overwritten() -> bool:
                seen = await lease.get()
                assert seen is not None
                try:
                    await lease.replace(seen, holder="somebody", duration_seconds=1, transitions=seen.transitions + 1)
                except LeaseConflict:
                    return False  # it renewed in between
                return True

            await eventually(overwritten)
            await eventually(lambda: processes[0].leadership is None, within=place.times.renew_deadline + 1)
            await eventually(lambda: processes[0].leads, within=place.times.lease_duration + 5)
            assert len(set(processes[0].epochs)) == 2


class ClusterPromises(LeasePromises, ElectorPromises):
    """Of leases that people can reach with kubectl."""

    async def test_a_lease_that_is_deleted_is_made_again_under_a_new_epoch(self, place: Place) -> None:
        assert place.delete is not None
        async with several(place, "a", "b") as processes:
            await eventually(lambda: len(leading(processes)) == 1, within=10)
            before = leading(processes)[0].epochs[-1]
            await place.delete()
            # the old one may think that it leads until its next renewal: its epoch is past, whatever it thinks
            await eventually(lambda: any(max(p.epochs, default=0) > before for p in leading(processes)), within=10)
            await eventually(lambda: len(leading(processes)) == 1, within=place.times.renew_deadline + 1)
            assert max(leading(processes)[0].epochs) > before

    @pytest.mark.parametrize("wish", ["any", "the other"])
    async def test_a_leader_hands_over_when_the_lease_says_so(self, place: Place, wish: str) -> None:
        assert place.annotate is not None
        async with several(place, "a", "b") as processes:
            await eventually(lambda: len(leading(processes)) == 1, within=10)
            first = leading(processes)[0]
            [other] = [p for p in processes if p is not first]
            await place.annotate("ratchet.dev/hand-over-to", other.name if wish == "the other" else wish)
            await eventually(lambda: other.leads, within=place.times.lease_duration)
            assert not first.leads
            lease = await place.open()
            record = await lease.get()
            assert record is not None and record.hand_over_to == ""
