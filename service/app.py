"""Puts the service together: the gate, the door, the routes, the probes, the description."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

import ratchet
from ratchet.config.portfolio import LoadedPortfolio
from ratchet.observability import metrics
from ratchet.observability.probes import Probes
from ratchet.runtime import Runtime
from service import lists, page, signals
from service.answers import Answer
from service.asgi import App
from service.door import SIGNALS, Accept, Door
from service.drain import Drain
from service.gate import Gate
from service.openapi import describe
from service.problems import Problem, Refused, problem_answer
from service.readiness import Readiness
from service.scrubbing import Scrubber
from service.tokens import ApiTokens


class _Application(FastAPI):
    """FastAPI with the gate outside of its own layers."""

    gate: Callable[[App], Gate]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; FastAPI's own way here would look for telemetry first."""
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Return the gate around what FastAPI makes of its routes."""
        return cast(ASGIApp, self.gate(super().build_middleware_stack()))


def create_app(
    rt: Runtime,
    accept: Accept,
    senders: LoadedPortfolio,
    *,
    drain: Drain,
    readiness: Readiness,
) -> FastAPI:
    """Return the ASGI application of a signal pod.

    accept: makes a signal durable. senders: who may hand in signals, and for whom. Needs no lifespan.
    """
    settings = rt.settings
    app = _Application(
        title="Ratchet",
        version=ratchet.__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.rt = rt
    app.state.readiness = readiness
    app.state.api_tokens = ApiTokens(settings.api_token, settings.api_token_previous)
    door = Door(accept, senders, app.state.api_tokens, settings.http, readiness, _scrubber(rt, senders))
    probes = Probes(alive=readiness.alive, ready=readiness.ready, health=readiness.health)

    def gate(inner: App) -> Gate:
        made = Gate(
            inner,
            door,
            probes,
            http=settings.http,
            clock=rt.clock,
            drain=drain,
            read_only=lambda: readiness.read_only,
        )
        readiness.open_requests = lambda: made.open_requests
        metrics.HTTP_OPEN.set_function(lambda: made.open_requests)
        metrics.RATE_LIMIT_SOURCES.set_function(lambda: made.sources_remembered)
        return made

    app.gate = gate
    for router in (signals.router, lists.router, page.router):
        app.include_router(router)
    handlers = ((Refused, _refused), (HTTPException, _http_error), (RequestValidationError, _not_valid))
    for kind, handler in (*handlers, (Exception, _failed)):
        app.add_exception_handler(cast(Any, kind), cast(Any, handler))
    # Described when first asked for: it takes as long as all the rest of the start.
    app.openapi = cache(lambda: describe(app, settings.http))  # type: ignore[method-assign]
    metrics.READ_ONLY.set_function(lambda: float(readiness.read_only))
    metrics.DRAINING.set_function(lambda: float(drain.draining))
    return app


def _scrubber(rt: Runtime, senders: LoadedPortfolio) -> Scrubber:
    """Return what takes our own tokens out of whatever a sender puts them into."""
    tokens = (
        *(entry.token for entry in senders.webhook_tokens),
        rt.settings.api_token,
        rt.settings.api_token_previous,
    )
    return Scrubber(token.get_secret_value() for token in tokens if token is not None)


def _response(answer: Answer) -> Response:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, headers, media_type=answer.content_type.decode())


async def _refused(request: Request, refused: Refused) -> Response:
    return _response(refused.answer(request.state.request_id))


async def _http_error(request: Request, error: HTTPException) -> Response:
    """Answer what the router itself refuses: an unknown path, a method that a path does not have."""
    if error.status_code == Problem.METHOD_NOT_ALLOWED.status:
        headers = ((b"allow", b"GET, POST" if request.scope["path"] == SIGNALS else b"GET"),)
        return _response(problem_answer(Problem.METHOD_NOT_ALLOWED, request.state.request_id, headers=headers))
    kind = Problem.NOT_FOUND if error.status_code == Problem.NOT_FOUND.status else Problem.INVALID_REQUEST
    return _response(problem_answer(kind, request.state.request_id))


async def _not_valid(request: Request, error: RequestValidationError) -> Response:
    """Name the first parameter that does not fit."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or None
    refused = Refused(Problem.INVALID_REQUEST, f"{field}: {first['msg']}.", field=field)
    return _response(refused.answer(request.state.request_id))


async def _failed(request: Request, _error: Exception) -> Response:
    """Answer for a mistake of ours, without its text; the gate logs it."""
    return _response(problem_answer(Problem.INTERNAL, request.state.request_id))
