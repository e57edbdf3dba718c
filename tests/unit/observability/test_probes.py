"""Probes answer what they are asked, with the status a balancer understands."""

import asyncio
import json
from collections.abc import Mapping, MutableMapping
from typing import Any

import pytest

from ratchet.observability import probes
from ratchet.observability.probes import Probes, Verdict


class World:
    alive = True
    ready = True

    def probes(self) -> Probes:
        async def ready() -> Verdict:
            return Verdict(self.ready, {"database": "away"} if not self.ready else {})

        async def health() -> Mapping[str, Any]:
            return {"instance": "i-1", "leader": False}

        return Probes(alive=lambda: Verdict(self.alive), ready=ready, health=health)


async def ask(app: Probes, path: str, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "path": path, "method": method}, receive, send)
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


@pytest.mark.parametrize(("alive", "status"), [(True, 200), (False, 503)])
async def test_liveness_follows_the_process(alive: bool, status: int) -> None:
    world = World()
    world.alive = alive
    assert (await ask(world.probes(), "/livez"))[0] == status


async def test_a_process_that_is_not_ready_says_why_and_stays_alive() -> None:
    world = World()
    world.ready = False
    status, _, body = await ask(world.probes(), "/readyz")
    assert (status, json.loads(body)) == (503, {"status": "no", "database": "away"})
    assert (await ask(world.probes(), "/livez"))[0] == 200


async def test_health_lists_what_was_given() -> None:
    status, headers, body = await ask(World().probes(), "/health")
    assert (status, json.loads(body)) == (200, {"instance": "i-1", "leader": False})
    assert headers[b"cache-control"] == b"no-store"


async def test_metrics_are_in_the_format_of_prometheus() -> None:
    status, headers, body = await ask(World().probes(), "/metrics")
    assert status == 200
    assert headers[b"content-type"].startswith(b"text/plain")
    assert b"ratchet_degraded" in body


async def test_a_probe_that_hangs_is_answered_no(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> Verdict:
        await asyncio.Event().wait()
        return Verdict(True)

    async def health() -> Mapping[str, Any]:
        return {}

    monkeypatch.setattr(probes, "ANSWER_SECONDS", 0.01)
    app = Probes(alive=lambda: Verdict(True), ready=hang, health=health)
    assert (await ask(app, "/readyz"))[0] == 503


async def test_other_paths_and_methods_are_refused() -> None:
    app = World().probes()
    assert (await ask(app, "/elsewhere"))[0] == 404
    assert (await ask(app, "/livez", "POST"))[0] == 405


async def test_head_has_the_headers_without_the_body() -> None:
    status, headers, body = await ask(World().probes(), "/readyz", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers[b"content-length"]) > 0
