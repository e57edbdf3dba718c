"""The promises on a Lease of an API server that does what it is told, and what only such a one can be made to do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from leader.database_lease import DatabaseFence
from leader.election import Times
from leader.kubernetes_lease import KubernetesLease, micro_time
from leader.lease import LeaseUnavailable, Record
from ratchet.persistence.database import Database
from ratchet.persistence.options import DatabaseOptions
from tests.contract.leader.places import Place, kubernetes_lease, leading, several
from tests.contract.leader.promises import ClusterPromises
from tests.fakes.api_server import ApiServer, an_api_server
from tests.integration.persistence.proxy import proxy_to
from tests.servers.waiting import eventually

TIMES = Times(lease_duration=2, renew_deadline=1.2, retry_period=0.2, request_timeout=0.5)
NAME = "ratchet-leader"


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """An API server of our own."""
    async with an_api_server(tmp_path / "kubeconfig") as running:
        yield running


@pytest_asyncio.fixture
async def place(server: ApiServer, sqlite_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    """A lease there, fenced by a database."""
    db = Database(DatabaseOptions(url=sqlite_url))
    await db.open()

    async def another() -> KubernetesLease:
        return await kubernetes_lease(tmp_path / "kubeconfig", NAME, TIMES)

    async def delete() -> None:
        server.delete(NAME)

    async def annotate(key: str, value: str) -> None:
        server.annotate(NAME, key, value)

    yield Place(another=another, fence=DatabaseFence(db), times=TIMES, delete=delete, annotate=annotate)
    await db.close()


class TestThePromises(ClusterPromises):
    """As anywhere."""


async def made(place: Place) -> tuple[KubernetesLease, Record]:
    """Return a lease, and its record that somebody holds."""
    lease = await place.open()
    assert isinstance(lease, KubernetesLease)
    return lease, await lease.create(holder="a", duration_seconds=5)


@pytest.mark.parametrize("status", [429, 500, 503, 403])
async def test_an_answer_that_is_none_is_told_as_unavailable(place: Place, server: ApiServer, status: int) -> None:
    lease, record = await made(place)
    server.status = status
    with pytest.raises(LeaseUnavailable, match=str(status)):
        await lease.replace(record, holder="a", duration_seconds=5, transitions=0)
    with pytest.raises(LeaseUnavailable, match=str(status)):
        await lease.get()
    with pytest.raises(LeaseUnavailable, match=str(status)):
        await lease.wait(record, 1.0)
    await lease.close()


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_version_that_the_server_has_forgotten_is_read_anew(
    place: Place, server: ApiServer, at_once: bool
) -> None:
    lease, record = await made(place)
    server.forgetful, server.forgetful_at_once = not at_once, at_once
    server.write(NAME, holderIdentity="b")
    seen = await lease.wait(record, 2.0)
    assert seen is not None and seen.holder == "b"
    await lease.close()


async def test_a_watch_that_is_silent_is_renewed(place: Place, server: ApiServer) -> None:
    lease, record = await made(place)
    server.silent = True
    waiting = asyncio.create_task(lease.wait(record, 5.0))
    await eventually(lambda: "WATCH" in server.calls)
    server.write(NAME, holderIdentity="b")
    seen = await waiting
    assert seen is not None and seen.holder == "b"
    await lease.close()


async def test_a_watch_that_is_cut_off_goes_on_without_losing_a_change(place: Place, server: ApiServer) -> None:
    lease, record = await made(place)
    waiting = asyncio.create_task(lease.wait(record, 5.0))
    await eventually(lambda: server.watches)
    server.drop_watches()
    server.write(NAME, holderIdentity="b")
    seen = await waiting
    assert seen is not None and seen.holder == "b"
    await lease.close()


async def test_waiting_costs_one_watch_and_nothing_else(place: Place, server: ApiServer) -> None:
    lease, record = await made(place)
    server.calls.clear()
    for n in range(5):
        server.write(NAME, leaseTransitions=n + 1)
        seen = await lease.wait(record, 1.0)
        assert seen is not None and seen.transitions == n + 1
        record = seen
    assert server.calls == ["WATCH"]
    await lease.close()


async def test_what_others_wrote_on_the_lease_stays_there(place: Place, server: ApiServer) -> None:
    lease, _ = await made(place)
    server.annotate(NAME, "meta.helm.sh/release-name", "ours")
    seen = await lease.get()
    assert seen is not None
    await lease.replace(seen, holder="a", duration_seconds=5, transitions=0)
    assert server.leases[NAME]["metadata"]["annotations"]["meta.helm.sh/release-name"] == "ours"
    await lease.close()


def test_an_instant_is_written_with_six_digits_also_if_they_are_zeros() -> None:
    assert micro_time(datetime(2027, 1, 11, 5, 0, tzinfo=UTC)).isoformat() == "2027-01-11T05:00:00.000000Z"


async def test_an_instant_without_microseconds_is_accepted_when_it_comes_back(place: Place, server: ApiServer) -> None:
    lease, _ = await made(place)
    server.write(NAME, acquireTime="2027-01-11T05:00:00.000000Z")
    seen = await lease.get()
    assert seen is not None
    await lease.replace(seen, holder="a", duration_seconds=5, transitions=0)
    assert server.leases[NAME]["spec"]["acquireTime"] == "2027-01-11T05:00:00.000000Z"
    await lease.close()


async def test_a_lease_without_a_spec_is_free(place: Place, server: ApiServer) -> None:
    """As a chart makes it."""
    lease, _ = await made(place)
    server.leases[NAME].pop("spec")
    seen = await lease.get()
    assert seen is not None and seen.holder == ""
    assert (await lease.replace(seen, holder="b", duration_seconds=5, transitions=1)).holder == "b"
    await lease.close()


@pytest.mark.parametrize("fault", ["hanging", "429", "500"])
async def test_a_leader_steps_down_at_its_deadline_and_comes_back_under_a_new_epoch(
    place: Place, server: ApiServer, fault: str
) -> None:
    async with several(place, "a", "b") as processes:
        await eventually(lambda: len(leading(processes)) == 1, within=10)
        before = leading(processes)[0].epochs[-1]
        if fault == "hanging":
            server.hanging = True
        else:
            server.status = int(fault)
        await eventually(lambda: all(p.leadership is None for p in processes), within=TIMES.renew_deadline + 1)
        server.resume()
        await eventually(lambda: len(leading(processes)) == 1, within=10)
        assert leading(processes)[0].epochs[-1] > before


async def test_writes_whose_answers_are_lost_do_not_end_leadership(place: Place, server: ApiServer) -> None:
    async with several(place, "a") as processes:
        await eventually(lambda: processes[0].leads, within=10)
        renewed = processes[0].elector.standing.renewed_at or 0.0
        server.deaf = True
        await eventually(lambda: server.calls.count("PUT") >= 2)
        server.deaf = False
        await eventually(lambda: (processes[0].elector.standing.renewed_at or 0.0) > renewed + 1)
        assert len(processes[0].epochs) == 1


async def test_one_that_is_cut_off_from_the_api_server_is_followed_and_stands_by_when_it_is_back(
    place: Place, tmp_path: Path
) -> None:
    leads_there = (tmp_path / "kubeconfig").read_text()
    (port,) = re.findall(r"127\.0\.0\.1:(\d+)", leads_there)
    async with proxy_to(int(port)) as proxy:
        path = tmp_path / "by-proxy"
        path.write_text(leads_there.replace(f":{port}", f":{proxy.port}"))

        async def by_proxy() -> KubernetesLease:
            return await kubernetes_lease(path, NAME, TIMES)

        async with several(replace(place, another=by_proxy), "cut off") as alone:
            (apart,) = alone
            await eventually(lambda: apart.leads, within=10)
            async with several(place, "whole") as others:
                (whole,) = others
                proxy.frozen = True
                both: list[bool] = []

                def followed() -> bool:
                    both.append(apart.leads and whole.leads)
                    return whole.leads

                await eventually(followed, within=10)
                proxy.frozen = False
                proxy.cut_all()
                await eventually(lambda: apart.elector.standing.holder == whole.elector.identity, within=10)
                assert not any(both) and whole.leads and not apart.leads
                assert whole.epochs == [apart.epochs[-1] + 1]
