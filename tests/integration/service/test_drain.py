"""The end in order: nobody is refused while balancers have not noticed, and then it ends, at once if asked twice."""

import asyncio
import json
import time
from pathlib import Path

import aiohttp
import pytest

from tests.integration.service.running import (
    WEBHOOK_TOKEN,
    Pod,
    entry,
    running,
    settings_for,
)
from tests.servers.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

DELAY_SECONDS = 1.0


async def keep_sending(pod: Pod, client: int, *, kept: bool, until: float) -> list[int | str]:
    """Send signals until a monotonic instant, on one kept connection or a new one each time; return what came back."""
    answers: list[int | str] = []
    connector = aiohttp.TCPConnector(force_close=not kept)
    async with aiohttp.ClientSession(connector=connector) as session:
        number = 0
        while time.monotonic() < until:
            number += 1
            message = entry(timestamp=f"2027-01-12T{client:02}:{number // 60 % 60:02}:{number % 60:02}")
            try:
                async with session.post(f"{pod.url}/webhook/{WEBHOOK_TOKEN}", data=json.dumps(message)) as told:
                    answers.append(told.status)
                    await told.read()
            except aiohttp.ClientError as error:
                answers.append(repr(error))
    return answers


async def test_clients_that_send_until_the_delay_is_over_see_no_failure(tmp_path: Path) -> None:
    http = {"rate_limit_per_second": 0}
    async with running(settings_for(tmp_path, drain={"delay_seconds": DELAY_SECONDS}, http=http)) as pod:
        until = time.monotonic() + 0.3 + DELAY_SECONDS - 0.1
        async with asyncio.TaskGroup() as tasks:
            clients = [tasks.create_task(keep_sending(pod, n, kept=n % 2 == 0, until=until)) for n in range(8)]
            await eventually(lambda: time.monotonic() > until - DELAY_SECONDS + 0.1)
            pod.drain.request()
        answers = [answer for client in clients for answer in client.result()]
        assert len(answers) > 100
        assert set(answers) <= {200, 202}
        async with asyncio.timeout(5):
            await pod.ended


async def test_while_draining_each_answer_closes_its_connection_and_readiness_holds(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, drain={"delay_seconds": 30})) as pod:
        await eventually(lambda: _is_ready(pod))
        pod.drain.request()
        told = await pod.send(entry())
        assert (told.status, told.headers["connection"]) == (202, "close")
        assert (await pod.ask("GET", "/readyz")).status == 200
        health = (await pod.ask("GET", "/health")).json
        assert (health["status"], health["draining"]) == ("draining", True)


async def _is_ready(pod: Pod) -> bool:
    return (await pod.ask("GET", "/readyz")).status == 200


async def test_an_open_request_is_answered_before_the_end(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path)) as pod:
        pod.acceptor.held.clear()
        sent = asyncio.create_task(pod.send(entry()))
        await eventually(lambda: pod.acceptor.waiting == 1)
        pod.drain.request()
        with pytest.raises(aiohttp.ClientConnectorError):
            await eventually(lambda: _refused(pod))
            await pod.ask("GET", "/livez")
        assert not pod.ended.done()
        pod.acceptor.held.set()
        assert (await sent).status == 202
        async with asyncio.timeout(5):
            await pod.ended


async def _refused(pod: Pod) -> bool:
    try:
        await pod.ask("GET", "/livez")
    except aiohttp.ClientConnectorError:
        return True
    return False


async def test_an_open_request_that_never_ends_is_answered_503_when_its_time_is_over(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, drain={"delay_seconds": 0, "graceful_seconds": 1})) as pod:
        pod.acceptor.held.clear()
        sent = asyncio.create_task(pod.send(entry()))
        await eventually(lambda: pod.acceptor.waiting == 1)
        pod.drain.request()
        told = await sent
        assert (told.status, told.json["type"]) == (503, "urn:ratchet:problem:not-durable")
        async with asyncio.timeout(5):
            await pod.ended


async def test_a_second_request_to_end_ends_at_once(tmp_path: Path) -> None:
    drain = {"delay_seconds": 60, "graceful_seconds": 60}
    async with running(settings_for(tmp_path, drain=drain)) as pod:
        pod.acceptor.held.clear()
        sent = asyncio.create_task(pod.send(entry()))
        await eventually(lambda: pod.acceptor.waiting == 1)
        pod.drain.request()
        assert (await pod.ask("GET", "/livez")).status == 200
        pod.drain.request()
        async with asyncio.timeout(3):
            await pod.ended
        sent.cancel()


async def test_the_work_is_stopped_after_the_last_open_request_was_answered(tmp_path: Path) -> None:
    order: list[str] = []
    settings = settings_for(tmp_path)

    async def work(stop: asyncio.Event) -> None:
        await stop.wait()
        order.append(f"stopped with {pod.acceptor.waiting} waiting")

    async with running(settings, work=work) as pod:
        pod.acceptor.held.clear()
        sent = asyncio.create_task(pod.send(entry()))
        await eventually(lambda: pod.acceptor.waiting == 1)
        pod.drain.request()
        await eventually(lambda: _refused(pod))
        assert order == []
        pod.acceptor.held.set()
        assert (await sent).status == 202
        await pod.ended
        assert order == ["stopped with 0 waiting"]


async def test_work_that_ends_by_surprise_ends_the_pod(tmp_path: Path) -> None:
    async def work(stop: asyncio.Event) -> None:
        raise RuntimeError("broken")

    with pytest.raises(ExceptionGroup, match="unhandled") as caught:
        async with running(settings_for(tmp_path), work=work) as pod:
            await asyncio.wait((pod.ended,))
    assert caught.group_contains(RuntimeError, match="broken")


async def test_a_taken_address_is_an_error_at_once(tmp_path: Path, pod: Pod) -> None:
    other = settings_for(tmp_path / "other").model_copy(update={"http_port": pod.port})
    (tmp_path / "other").mkdir(exist_ok=True)
    with pytest.raises(OSError, match="in use"):
        async with running(other):
            raise AssertionError("it must not start")
