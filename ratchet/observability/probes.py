"""Answers to /livez, /readyz, /health and /metrics for any process, as an ASGI application made from callables.

Liveness says only that this process can still work: it never asks the database, Redis or the broker, or an outage of
theirs would restart every pod. Readiness says whether requests should come here.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from ratchet.observability import metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATHS = ("/livez", "/readyz", "/health", "/metrics")

ANSWER_SECONDS = 2.0
"""A probe that could not be answered in this time is answered no."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a probe; `facts` says what was looked at."""

    ok: bool
    facts: Mapping[str, Any] = field(default_factory=dict)


class Probes:
    """The ASGI application. It answers 404 to any path but its own, and 405 to anything but GET and HEAD."""

    def __init__(
        self,
        *,
        alive: Callable[[], Verdict],
        ready: Callable[[], Awaitable[Verdict]],
        health: Callable[[], Awaitable[Mapping[str, Any]]],
    ) -> None:
        self._alive = alive
        self._ready = ready
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; takes part in an ASGI lifespan without doing anything in it."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            status, kind, body = await self._answer(scope)
            headers = [
                (b"content-type", kind.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
            ]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope) -> tuple[int, str, bytes]:
        if scope["method"] not in ("GET", "HEAD"):
            return _json(405, {"status": "method not allowed"})
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                match scope["path"]:
                    case "/livez":
                        return _verdict(self._alive())
                    case "/readyz":
                        return _verdict(await self._ready())
                    case "/health":
                        return _json(200, await self._health())
                    case "/metrics":
                        return 200, metrics.CONTENT_TYPE, metrics.render()
        except TimeoutError:
            return _json(503, {"status": "no answer in time"})
        return _json(404, {"status": "not found"})


def _verdict(verdict: Verdict) -> tuple[int, str, bytes]:
    return _json(200 if verdict.ok else 503, {"status": "ok" if verdict.ok else "no", **verdict.facts})


def _json(status: int, content: Mapping[str, Any]) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(content, default=str).encode()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
