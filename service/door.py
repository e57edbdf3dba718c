"""The door: POST /webhook, POST /webhook/{token} and POST /signals, from bytes to a durable receipt.

Outside of FastAPI's routing on purpose: its layers cost more than the accept. What stands here is documented by hand in
`service/openapi.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import parse_qsl

from ratchet.config.portfolio import LoadedPortfolio, Route
from ratchet.config.sections import HttpSettings
from ratchet.domain.identity import AccountId, StrategyId
from ratchet.domain.signals import Signal, Source
from ratchet.domain.webhook import InvalidSignal, read_body, signal_of
from ratchet.execution.submission import Duplicate, NotDurable, Overloaded, Receipt, Submission
from ratchet.failpoints import Failpoint, reach
from ratchet.observability.metrics import Answer as Told
from service import counting
from service.answers import Answer, receipt_answer
from service.asgi import SHORTCUT, Receive, Scope, Shortcut
from service.bodies import BodyTooLong, receive_body
from service.problems import Problem, Refused
from service.readiness import Readiness
from service.scrubbing import Scrubber
from service.tokens import ApiTokens, WebhookTokens

WEBHOOK = "/webhook"
SIGNALS = "/signals"

Accept: TypeAlias = Callable[[Submission], Awaitable[Receipt]]
"""Makes a signal durable. Raises NotDurable or Overloaded."""

_NONE: Mapping[str, Shortcut] = {}
_QUERIES = 1024

_TOLD = {None: Told.ACCEPTED, Duplicate.EXACT: Told.DUPLICATE, Duplicate.WINDOW: Told.WINDOW}


def is_door(path: str) -> bool:
    """Whether a POST to this path hands in a signal."""
    return path in (SIGNALS, WEBHOOK) or (path.startswith(WEBHOOK + "/") and path.count("/") == 2)


class Door:
    """Takes signals in. Answers after the durable accept, never after the broker."""

    def __init__(
        self,
        accept: Accept,
        loaded: LoadedPortfolio,
        api_tokens: ApiTokens,
        http: HttpSettings,
        readiness: Readiness,
        scrubber: Scrubber,
    ) -> None:
        self._accept = accept
        self._webhook_tokens = WebhookTokens(loaded.webhook_tokens)
        self._api_tokens = api_tokens
        self._accounts = frozenset(loaded.portfolio.accounts)
        self._strategies = frozenset(loaded.strategies)
        self._default = loaded.default_route
        self._http = http
        self._readiness = readiness
        self._scrubber = scrubber
        self._asked_for = lru_cache(_QUERIES)(self._route_of)

    async def answer(self, scope: Scope, receive: Receive, request_id: str) -> Answer:
        """Return the answer to one handed-in signal. Raises Refused for everything but a receipt, and ClientGone."""
        path: str = scope["path"]
        source = Source.API if path == SIGNALS else Source.WEBHOOK
        named = self._api_route(scope) if path == SIGNALS else self._webhook_route(path, scope["query_string"])
        shortcut: Shortcut | None = scope.get("extensions", _NONE).get(SHORTCUT)
        body = shortcut.body() if shortcut is not None else None
        if body is None:
            body = await self._received(receive)
        elif len(body) > self._http.body_limit_bytes:
            raise self._too_long(drained=True)
        signal, payload_hash, route = self._signal(body, named)
        submission = Submission(
            account=route.account,
            strategy=route.strategy,
            signal=signal,
            payload_hash=payload_hash,
            source=source,
            request_id=request_id,
        )
        try:
            receipt = await self._accept(submission)
        except NotDurable:
            self._readiness.refused()
            raise Refused(Problem.NOT_DURABLE) from None
        except Overloaded:
            raise Refused(Problem.OVERLOADED) from None
        await reach(Failpoint.K3)
        self._readiness.accepted()
        counting.signal(signal.kind, _TOLD[receipt.duplicate])
        return receipt_answer(receipt, request_id)

    async def _received(self, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(self._http.body_timeout_seconds):
                return await receive_body(receive, limit=self._http.body_limit_bytes)
        except TimeoutError:
            raise Refused(Problem.SLOW_REQUEST, close=True) from None
        except BodyTooLong as error:
            raise self._too_long(drained=error.drained) from None

    def _too_long(self, *, drained: bool) -> Refused:
        detail = f"At most {self._http.body_limit_bytes} bytes."
        return Refused(Problem.TOO_LARGE, detail, field="$body", rule="V01", close=not drained)

    def _webhook_route(self, path: str, query: bytes) -> Route | None:
        """Return whom the token in the address names; None if there is none, so that the body must have it."""
        presented = path[len(WEBHOOK) + 1 :] or _parameters(query).get("token")
        if not presented:
            return None
        route = self._webhook_tokens.route(presented)
        if route is None:
            raise Refused(Problem.UNAUTHORIZED)
        return route

    def _api_route(self, scope: Scope) -> Route:
        if not self._api_tokens.accepts(scope["headers"]):
            raise Refused(Problem.UNAUTHORIZED)
        query: bytes = scope["query_string"]
        return self._asked_for(query) if query else self._default

    def _route_of(self, query: bytes) -> Route:
        asked = _parameters(query)
        account = asked.get("account") or self._default.account
        strategy = asked.get("strategy") or self._default.strategy
        if account not in self._accounts:
            raise Refused(Problem.INVALID_REQUEST, "The portfolio has no such account.", field="account")
        if strategy not in self._strategies:
            raise Refused(Problem.INVALID_REQUEST, "The portfolio has no such strategy.", field="strategy")
        return Route(account=AccountId(account), strategy=StrategyId(strategy))

    def _signal(self, body: bytes, route: Route | None) -> tuple[Signal, str, Route]:
        """Return the signal, its hash, and whose it is. Without a right token nothing is said about the message."""
        try:
            message = read_body(body, self._http.body_limit_bytes)
        except InvalidSignal as error:
            raise Refused(Problem.UNAUTHORIZED) if route is None else _invalid(error) from None
        route = route or self._webhook_tokens.route(message.token)
        if route is None:
            raise Refused(Problem.UNAUTHORIZED)
        message = self._scrubber.clean(body, message)
        try:
            return signal_of(message), message.payload_hash, route
        except InvalidSignal as error:
            raise _invalid(error) from None


def _invalid(error: InvalidSignal) -> Refused:
    return Refused(Problem.INVALID_SIGNAL, f"{error.field}: {error.message}.", field=error.field, rule=error.rule)


def _parameters(query: bytes) -> dict[str, str]:
    """Return the query's parameters; of one that is given twice, the first."""
    if not query:
        return {}
    found: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1")):
        found.setdefault(name, value)
    return found
