"""What the service says about itself: alive, ready, healthy, read-only; and how it does without its database."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from ratchet.execution.submission import NotDurable
from ratchet.persistence.errors import DatabaseUnavailable
from ratchet.persistence.transaction import Transaction
from service.page import POLICY
from tests.integration.service.running import API_TOKEN, WEBHOOK_TOKEN, Pod, fresh, running, settings_for
from tests.servers.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ready(pod: Pod) -> bool:
    return (await pod.ask("GET", "/readyz")).status == 200


async def reachable(pod: Pod) -> bool:
    return bool((await pod.ask("GET", "/health")).json["database"]["reachable"])


@asynccontextmanager
async def without_database(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Take the database away for the time of the block, as a lost server does."""

    def away(**_: object) -> AbstractAsyncContextManager[Transaction]:
        raise DatabaseUnavailable("no connection to the database: refused")

    with monkeypatch.context() as patch:
        patch.setattr(pod.rt.db, "reading", away)
        await eventually(lambda: _not(reachable(pod)))
        yield


async def _not(asked: object) -> bool:
    assert asyncio.iscoroutine(asked)
    return not await asked


async def test_the_probes_need_no_token_and_tell_no_secret(pod: Pod) -> None:
    await eventually(lambda: ready(pod))
    assert (await pod.send(fresh())).status == 202
    for path in ("/livez", "/readyz", "/health", "/metrics"):
        told = await pod.ask("GET", path)
        assert told.status == 200
        assert API_TOKEN.encode() not in told.body
        assert WEBHOOK_TOKEN.encode() not in told.body


async def test_health_says_what_people_want_to_know(pod: Pod) -> None:
    await eventually(lambda: ready(pod))
    found = (await pod.ask("GET", "/health")).json
    assert (found["status"], found["read_only"], found["draining"], found["leader"]) == ("ok", False, False, None)
    assert found["instance"] == pod.rt.boot_id
    assert found["schema"]["current"] is True
    assert found["redis"] == {"configured": False, "healthy": None}
    assert found["broker"]["mode"] == "live"
    assert found["sending"]["entries_on"] is True


async def test_metrics_count_signals_by_what_their_senders_were_told(pod: Pod) -> None:
    async def counted(answer: str) -> float:
        text = (await pod.ask("GET", "/metrics")).body.decode()
        found = re.findall(rf'^ratchet_signals_received_total\{{answer="{answer}",kind="\w+"\}} (\S+)$', text, re.M)
        return sum(map(float, found))

    before = {answer: await counted(answer) for answer in ("accepted", "duplicate", "invalid", "unauthorized")}
    message = fresh()
    for body, token in ((message, WEBHOOK_TOKEN), (message, WEBHOOK_TOKEN), ({}, WEBHOOK_TOKEN), (message, "wrong")):
        await pod.send(body, token=token)
    assert {answer: await counted(answer) - count for answer, count in before.items()} == dict.fromkeys(before, 1.0)


async def test_a_database_without_a_schema_makes_unready_and_reading_503(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path), migrated=False) as pod:
        await eventually(lambda: reachable(pod))
        told = await pod.ask("GET", "/readyz")
        assert told.status == 503
        assert "migrate" in told.json["reason"]
        assert (await pod.read("/positions")).status == 503
        assert (await pod.ask("GET", "/livez")).status == 200


async def test_without_the_database_lists_are_503_and_the_rest_is_served(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    await eventually(lambda: ready(pod))
    async with without_database(pod, monkeypatch):
        told = await pod.read("/positions")
        assert (told.status, told.json["type"]) == (503, "urn:ratchet:problem:database-away")
        assert int(told.headers["retry-after"]) >= 1
        assert told.headers["x-ratchet-mode"] == "read-only"
        assert (await pod.read("/instruments")).status == 200
        assert (await pod.ask("GET", "/")).status == 200
        found = (await pod.ask("GET", "/health")).json
        assert (found["status"], found["read_only"]) == ("read_only", True)
    await eventually(lambda: reachable(pod))
    told = await pod.read("/positions")
    assert told.status == 200
    assert "x-ratchet-mode" not in told.headers


async def test_readiness_outlasts_a_short_outage_and_not_a_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(settings_for(tmp_path, database={"unready_after_seconds": 2.0})) as pod:
        await eventually(lambda: ready(pod))
        async with without_database(pod, monkeypatch):
            assert await ready(pod)
            await eventually(lambda: _not(ready(pod)), within=8)
            assert (await pod.ask("GET", "/livez")).status == 200
        await eventually(lambda: ready(pod))


async def test_an_accept_that_could_not_be_stored_shows_as_read_only_until_one_is(pod: Pod) -> None:
    await eventually(lambda: ready(pod))
    pod.acceptor.trouble = NotDurable("disk full")
    told = await pod.send(fresh())
    assert (told.status, told.headers["x-ratchet-mode"]) == (503, "read-only")
    pod.acceptor.trouble = None
    assert "x-ratchet-mode" not in (await pod.send(fresh())).headers


async def test_the_page_runs_nothing_but_its_own_script_and_loads_nothing(shared: Pod) -> None:
    told = await shared.ask("GET", "/")
    assert told.status == 200
    assert told.headers["content-type"] == "text/html; charset=utf-8"
    assert told.headers["content-security-policy"] == POLICY
    assert not re.search(rb'(src|href)="|@import|url\(', told.body)
    assert b"innerHTML" not in told.body
    assert re.search(r"script-src 'sha256-[^']+'; style-src 'sha256-[^']+'", POLICY)
