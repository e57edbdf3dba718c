"""The door with the real acceptor behind it, on SQLite: what is answered 2xx is in the database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ratchet.execution.accept import Acceptor
from ratchet.runtime import Runtime
from tests.integration.service.running import Accept, Pod, Work, entry, running, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")


def real(rt: Runtime) -> tuple[Accept, Work]:
    """Return the real accept, and its batches as the work."""
    acceptor = Acceptor(rt)

    async def work(stop: asyncio.Event) -> None:
        flushing = asyncio.create_task(acceptor.run())
        await stop.wait()
        flushing.cancel()
        await asyncio.wait((flushing,))

    return acceptor.accept, work


@pytest_asyncio.fixture(loop_scope="module")
async def durable(tmp_path: Path) -> AsyncIterator[Pod]:
    """A pod with the real acceptor."""
    async with running(settings_for(tmp_path), accept=real) as made:
        yield made


async def test_what_was_accepted_is_shown_with_its_first_event(durable: Pod) -> None:
    told = await durable.send(entry(note="kept in the raw log"))
    assert told.status == 202
    shown = await durable.read(f"/signals/{told.json['id']}")
    assert shown.status == 200
    assert shown.json["request_id"] == told.json["request_id"]
    assert shown.json["payload"]["note"] == "kept in the raw log"
    assert len(shown.json["events"]) == 1
    listed = (await durable.read("/signals?instrument=GOLD_MINI")).json["items"]
    assert [item["id"] for item in listed] == [told.json["id"]]


async def test_of_many_deliveries_at_once_one_is_new_and_all_name_the_same_row(durable: Pod) -> None:
    told = await asyncio.gather(*(durable.send(entry()) for _ in range(20)))
    assert sorted(answer.status for answer in told) == [200] * 19 + [202]
    assert len({answer.json["id"] for answer in told}) == 1


async def test_the_same_layer_within_a_minute_is_a_window_duplicate(durable: Pod) -> None:
    first = await durable.send(entry(timestamp="2027-01-12T21:00:01"))
    near = await durable.send(entry(timestamp="2027-01-12T21:00:59"))
    far = await durable.send(entry(timestamp="2027-01-12T21:02:30"))
    assert (near.status, near.json["duplicate"], near.json["id"]) == (200, "window", first.json["id"])
    assert (far.status, far.json["duplicate"]) == (202, None)


async def test_a_burst_of_distinct_signals_is_stored_whole(durable: Pod) -> None:
    messages = [
        entry(type="MARKET_DATA", timestamp=f"2027-01-12T{hour:02}:{minute:02}:00")
        for hour in range(9, 14)
        for minute in range(60)
    ]
    told = await asyncio.gather(*(durable.send(message) for message in messages))
    assert {answer.status for answer in told} == {202}
    ids: set[str] = set()
    cursor = ""
    while True:
        page = (await durable.read(f"/signals?limit=100{cursor}")).json
        ids |= {item["id"] for item in page["items"]}
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert ids == {answer.json["id"] for answer in told}
