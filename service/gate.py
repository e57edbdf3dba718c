"""The gate before every route: request ids, bounds on open requests and on sources, common headers, the last resort.

It stands outside of FastAPI's own layers, because on the way of a signal these would cost more than the signal does.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable, Mapping

from ratchet.clock import Clock
from ratchet.config.sections import HttpSettings
from ratchet.observability import context, metrics
from ratchet.observability.probes import PATHS
from service import counting
from service.answers import Answer
from service.asgi import CLOSE, SHORTCUT, App, Headers, Message, Receive, Scope, Send, Shortcut
from service.bodies import ClientGone
from service.door import SIGNALS, WEBHOOK, Door, is_door
from service.drain import Drain
from service.problems import Problem, Refused, problem_answer
from service.rates import RateLimit
from service.sources import Sources

log = logging.getLogger(__name__)

_PROBES = frozenset(PATHS)
"""Never refused for load: what watches us must see us."""

SECURITY_HEADERS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""Of every answer but the page, which has its own content policy."""

DOOR_HEADERS: Headers = SECURITY_HEADERS[:2]
"""Of the answers to senders of signals, which are machines."""

ONLY_POST: Headers = ((b"allow", b"POST"),)

READ_ONLY: Headers = ((b"x-ratchet-mode", b"read-only"),)
"""Added while the database takes no writes."""

_HEAD = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b"
_NONE: Mapping[str, Shortcut] = {}

_CLIENT_GONE = 499
"""Counted for a request that its sender gave up; nothing is sent."""


class Gate:
    """Pure ASGI. read_only: whether the database is away or takes no writes just now."""

    def __init__(
        self,
        inner: App,
        door: Door,
        probes: App,
        *,
        http: HttpSettings,
        clock: Clock,
        drain: Drain,
        read_only: Callable[[], bool],
    ) -> None:
        self._inner = inner
        self._door = door
        self._probes = probes
        self._http = http
        self._clock = clock
        self._drain = drain
        self._read_only = read_only
        self._sources = Sources(allowed=http.allow_list, trusted=http.trusted_proxies)
        self._rates = RateLimit(
            per_second=http.rate_limit_per_second, burst=http.rate_limit_burst, sources=http.rate_limit_sources
        )
        self._door_headers = DOOR_HEADERS if http.security_headers else ()
        self._door_head = lines_of(self._door_headers)
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self.open_requests = 0

    @property
    def sources_remembered(self) -> int:
        """How many sources the rate limit keeps a bucket for."""
        return len(self._rates)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it is."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        began = self._clock.monotonic()
        request_id = f"{self._prefix}{next(self._numbers):x}"
        path: str = scope["path"]
        if path in _PROBES:
            status = await self._guarded(self._probes, scope, receive, send, request_id)
            counting.request(path, status, self._clock.monotonic() - began)
            return
        at_door = is_door(path) and (scope["method"] == "POST" or path != SIGNALS)
        refusal = self._refusal(scope, at_door, began)
        self.open_requests += 1
        try:
            if refusal is not None:
                headers = ONLY_POST if refusal is Problem.METHOD_NOT_ALLOWED else ()
                status = await self._send(scope, send, problem_answer(refusal, request_id, headers=headers), request_id)
            elif at_door:
                status = await self._enter(scope, receive, send, request_id)
            else:
                status = await self._guarded(self._inner, scope, receive, send, request_id)
        finally:
            self.open_requests -= 1
        if refusal is not None and at_door:
            counting.signal(counting.UNKNOWN_KIND, refusal.told)
        counting.request(_route(scope, at_door), status, self._clock.monotonic() - began)
        if self._drain.draining:
            metrics.DRAINED_REQUESTS.inc()

    def _refusal(self, scope: Scope, at_door: bool, now: float) -> Problem | None:
        """Return why a request is not even looked at, the cheapest reason first."""
        if self.open_requests >= self._http.max_open_requests:
            return Problem.OVERLOADED
        if at_door and scope["method"] != "POST":
            return Problem.METHOD_NOT_ALLOWED
        source = self._sources.of(scope)
        if at_door and not self._sources.may_send(source):
            return Problem.FORBIDDEN_SOURCE
        if not self._rates.take(self._sources.name(source), now):
            return Problem.TOO_MANY_REQUESTS
        return None

    async def _enter(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        """Hand a signal in and return the status that its sender was told."""
        try:
            answer = await self._door.answer(scope, receive, request_id)
        except Refused as refused:
            counting.signal(counting.UNKNOWN_KIND, refused.problem.told)
            answer = refused.answer(request_id)
        except ClientGone:
            return _CLIENT_GONE
        except asyncio.CancelledError:
            # The server ends and waits no longer. The row may be stored: the sender finds out when it sends again.
            await self._send(scope, send, problem_answer(Problem.NOT_DURABLE, request_id, close=True), request_id)
            raise
        except Exception:
            log.exception("request failed", extra={"event": "request_failed", "request_id": request_id})
            answer = problem_answer(Problem.INTERNAL, request_id)
        return await self._send(scope, send, answer, request_id)

    async def _send(self, scope: Scope, send: Send, answer: Answer, request_id: str) -> int:
        close, body = answer.close or self._drain.draining, answer.body
        further = (*answer.headers, *READ_ONLY) if self._read_only() else answer.headers
        shortcut: Shortcut | None = scope.get("extensions", _NONE).get(SHORTCUT)
        if shortcut is not None:
            head = _HEAD % (answer.content_type, len(body), request_id.encode(), self._door_head)
            if further:
                head += lines_of(further)
            if shortcut.respond(answer.status, head, body, close=close):
                return answer.status
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            *self._door_headers,
            *further,
            *(CLOSE if close else ()),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return answer.status

    def _passing_headers(self) -> Headers:
        """Return the headers that depend on the moment."""
        headers = CLOSE if self._drain.draining else ()
        return headers + READ_ONLY if self._read_only() else headers

    async def _guarded(self, inner: App, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        """Run the routes, with the common headers, a time limit, and a problem for a crash; return the status."""
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name for name, _ in message["headers"]}
                own: Headers = ((b"x-request-id", request_id.encode()),)
                if self._http.security_headers:
                    own += tuple(pair for pair in SECURITY_HEADERS if pair[0] not in present)
                message["headers"] = [*message["headers"], *own, *self._passing_headers()]
            await send(message)

        try:
            with context.bound(request_id=request_id):
                async with asyncio.timeout(self._http.request_timeout_seconds):
                    await inner(scope, receive, with_headers)
            return status
        except TimeoutError:
            answer = problem_answer(Problem.TIMED_OUT, request_id)
        except Exception:
            log.exception("request failed", extra={"event": "request_failed", "request_id": request_id})
            answer = problem_answer(Problem.INTERNAL, request_id)
        return status or await self._send(scope, send, answer, request_id)


def lines_of(headers: Headers) -> bytes:
    """Return headers as they are written."""
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)


def _route(scope: Scope, at_door: bool) -> str:
    """Return the template of the route that answered: of a closed set, whatever clients ask for."""
    if at_door:
        return SIGNALS if scope["path"] == SIGNALS else WEBHOOK
    route = scope.get("route")
    return getattr(route, "path", "unmatched")
