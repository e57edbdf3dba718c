"""A leader in a real cluster: what kubectl sees of its leadership and of a rollover."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from leader.kubernetes_lease import connect
from leader.kubernetes_rolls import RollMarks
from leader.leadership import Leadership
from leader.leading import Leader
from leader.rolls import Roll
from leader.work import WORK
from ratchet.brokers.base import Accepted, Order
from ratchet.domain.identity import IntentId
from ratchet.domain.orders import Side
from ratchet.domain.rollover import RolloverStatus
from ratchet.persistence import instances
from ratchet.persistence.tables import instance
from ratchet.runtime import Runtime
from tests.cluster.conftest import Cluster
from tests.servers.waiting import eventually
from tests.world import world

pytestmark = pytest.mark.timeout(180)

TIMES = {
    "lease_duration_seconds": 9,
    "renew_deadline_seconds": 6,
    "retry_period_seconds": 0.5,
    "request_timeout_seconds": 0.5,
}


def due_at_once(rt: Runtime, instrument: str) -> Runtime:
    """Return a runtime by whose rules the nearest contract has to be left."""
    instruments = dict(rt.portfolio.instruments)
    instruments[instrument] = replace(instruments[instrument], roll_days=60)
    return replace(rt, portfolio=replace(rt.portfolio, instruments=instruments))


async def told(cluster: Cluster, lease_name: str) -> set[str]:
    """Return the reasons of the events on a lease."""
    text = await asyncio.to_thread(cluster.kubectl, "get", "events.events.k8s.io", "-o", "json")
    return {one["reason"] for one in json.loads(text)["items"] if one["regarding"].get("name") == lease_name}


async def lease(cluster: Cluster, name: str) -> dict[str, Any]:
    """Return a lease as kubectl shows it."""
    found: dict[str, Any] = json.loads(await asyncio.to_thread(cluster.kubectl, "get", "lease", name, "-o", "json"))
    return found


async def test_kubectl_shows_who_leads_under_which_epoch_and_what_was_rolled(
    cluster: Cluster, lease_name: str, tmp_path: Path, sqlite_url: str
) -> None:
    settings = {"backend": "kubernetes", "kubeconfig": cluster.kubeconfig, "lease_name": lease_name, **TIMES}
    async with world(tmp_path, sqlite_url, leader={**settings, "namespace": "default", "pod_name": "here"}) as w:
        await w.executed("BASE_ENTRY", "GOLD_MINI")
        leader = Leader(due_at_once(w.rt, "GOLD_MINI"), WORK)
        leading = asyncio.create_task(leader.run())

        async def shown() -> bool:
            notes: dict[str, str] = (await lease(cluster, lease_name))["metadata"].get("annotations", {})
            return {"ratchet.dev/epoch", "ratchet.dev/last-rollover", "ratchet.dev/next-rollover"} <= notes.keys()

        await eventually(lambda: leader.leads, within=30)
        await eventually(shown, within=60)
        leader.stop()
        await asyncio.wait([leading], timeout=30)
        expected = {"LeaderElected", "RolloverStarted", "RolloverCompleted", "LeaderReleased"}
        assert expected <= await told(cluster, lease_name)
        assert (await lease(cluster, lease_name))["spec"]["holderIdentity"] == ""


async def test_kubectl_shows_what_went_wrong_and_what_was_cleaned_up(
    cluster: Cluster, lease_name: str, tmp_path: Path, sqlite_url: str
) -> None:
    settings = {"backend": "kubernetes", "kubeconfig": cluster.kubeconfig, "lease_name": lease_name, **TIMES}
    pod = {"namespace": "default", "pod_name": f"pod-of-{lease_name}", "pod_uid": str(uuid4())}
    async with world(tmp_path, sqlite_url, leader={**settings, **pod}) as w:
        await w.executed("BASE_ENTRY", "GOLD_MINI")
        rt = due_at_once(w.rt, "GOLD_MINI")
        [held] = (await w.layers())[0].holdings
        # its old contract cannot be sold, somebody buys more of it by hand, and a process of long ago is remembered
        await w.fault({"endpoint": "placeorder", "fault": "refuse_4xx", "times": 30, "match": {"side": "SELL"}})
        async with w.rt.db.transaction(name="test") as tx:
            await instances.start(tx, boot_id="old", role="service", host="h", version="1", pod=None, lock_file=None)
            await instances.stop(tx, "old")
            long_ago = await tx.now() - timedelta(days=400)
            await tx.count(update(instance).where(instance.c.boot_id == "old").values(heartbeat_at=long_ago))
        quote = await w.rt.broker(w.account).quote(held.exchange, held.symbol)
        by_hand = Order(
            intent_id=IntentId(uuid4()),
            exchange=held.exchange,
            symbol=held.symbol,
            product="NRML",
            side=Side.BUY,
            quantity=held.quantity,
            price=quote.ask or quote.ltp,
        )
        assert isinstance(await w.rt.broker(w.account).place(by_hand), Accepted)
        leader = Leader(rt, WORK)
        leading = asyncio.create_task(leader.run())
        await eventually(lambda: leader.leads, within=30)
        expected = {"RolloverStarted", "RolloverFailed", "ReconciliationMismatch", "CleanupCompleted"}

        async def shown(name: str) -> bool:
            found = await told(cluster, name)
            assert expected <= found, f"{expected - found} is missing"
            return True

        await eventually(lambda: shown(lease_name), within=90)
        await eventually(lambda: shown(pod["pod_name"]), within=10)
        leader.stop()
        await asyncio.wait([leading], timeout=30)
    text = await asyncio.to_thread(cluster.kubectl, "get", "events", "--field-selector", "type=Warning")
    assert {line.split()[2] for line in text.splitlines() if lease_name in line} >= {
        "RolloverFailed",
        "ReconciliationMismatch",
    }


async def test_a_roll_under_way_has_a_lease_that_goes_with_it_and_with_the_leader_s(
    cluster: Cluster, lease_name: str, tmp_path: Path, sqlite_url: str
) -> None:
    await asyncio.to_thread(cluster.shell, f"kubectl create -f - <<< '{json.dumps(_lease(lease_name))}'")
    uid = (await lease(cluster, lease_name))["metadata"]["uid"]
    name = f"rollover-{lease_name}"
    api = await connect(cluster.kubeconfig)
    async with world(tmp_path, sqlite_url, leader=TIMES) as w:
        marks = RollMarks(api, w.rt, namespace="default", identity="me", leader=(lease_name, lambda: uid))
        held = Leadership(epoch=1, until=float("inf"), now=w.rt.clock.monotonic)
        roll = Roll(
            id=uuid4(),
            account=w.account,
            instrument="GOLD_MINI",
            layer="Long_1",
            contract="old",
            expiry=date(2027, 2, 5),
            state=RolloverStatus.IN_PROGRESS,
        )
        await marks.show({name: roll}, held)
        seen = await lease(cluster, name)
        assert seen["spec"]["holderIdentity"] == "me"
        assert [owner["uid"] for owner in seen["metadata"]["ownerReferences"]] == [uid]
        await marks.show({name: roll}, held)
        assert (await lease(cluster, name))["spec"]["renewTime"] > seen["spec"]["renewTime"]
        await marks.show({}, held)
        left = await asyncio.to_thread(cluster.kubectl, "get", "leases", "-o", "name")
        assert name not in left
    await api.close()  # type: ignore[no-untyped-call]


def _lease(name: str) -> dict[str, Any]:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}}
