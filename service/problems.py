"""Every answer that is not a success: one table, written as RFC 9457 problem details."""

from __future__ import annotations

import json
from enum import Enum

from ratchet.observability.metrics import Answer as Told
from service.answers import Answer
from service.asgi import Headers

CONTENT_TYPE = b"application/problem+json"


class Problem(Enum):
    """A kind of refusal: its HTTP status, the last part of its type, its title, and when a retry makes sense (seconds).

    told: the word that metrics have for it. Source: docs/domain.md, section 2.1 (status contract).
    """

    INVALID_SIGNAL = (400, "invalid-signal", "The signal is not valid", None, Told.INVALID)
    INVALID_REQUEST = (400, "invalid-request", "The request is not valid", None, Told.INVALID)
    UNAUTHORIZED = (401, "unauthorized", "The token is missing or wrong", None, Told.UNAUTHORIZED)
    FORBIDDEN_SOURCE = (403, "forbidden-source", "Signals are not taken from this address", None, Told.FORBIDDEN)
    NOT_FOUND = (404, "not-found", "There is nothing here", None, Told.INVALID)
    METHOD_NOT_ALLOWED = (405, "method-not-allowed", "The method is not supported here", None, Told.INVALID)
    SLOW_REQUEST = (408, "slow-request", "The request did not arrive in time", None, Told.TOO_SLOW)
    TOO_LARGE = (413, "too-large", "The body is too long", None, Told.TOO_LARGE)
    TOO_MANY_REQUESTS = (429, "too-many-requests", "Too many requests from this address", 1, Told.RATE_LIMITED)
    INTERNAL = (500, "internal", "Something failed on our side", None, Told.UNAVAILABLE)
    NOT_DURABLE = (503, "not-durable", "The signal could not be stored; send it again", 2, Told.UNAVAILABLE)
    OVERLOADED = (503, "overloaded", "Too much is waiting already; send it again", 1, Told.OVERLOADED)
    TIMED_OUT = (503, "timed-out", "The answer took too long; send it again", 2, Told.UNAVAILABLE)
    DATABASE_AWAY = (503, "database-away", "The database does not answer", 2, Told.UNAVAILABLE)

    def __init__(self, status: int, slug: str, title: str, retry_after: int | None, told: Told) -> None:
        self.status = status
        self.slug = slug
        self.title = title
        self.retry_after = retry_after
        self.told = told

    @property
    def type(self) -> str:
        """The URI that names the kind."""
        return f"urn:ratchet:problem:{self.slug}"


class Refused(Exception):
    """Raised by a route to answer with a problem.

    field, rule: what was wrong, where a rule has a name. close: the connection cannot go on, the request was not read.
    """

    def __init__(
        self,
        problem: Problem,
        detail: str | None = None,
        *,
        field: str | None = None,
        rule: str | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(detail or problem.title)
        self.problem = problem
        self.detail = detail
        self.field = field
        self.rule = rule
        self.close = close

    def answer(self, request_id: str) -> Answer:
        """Return what is sent."""
        return problem_answer(self.problem, request_id, self.detail, field=self.field, rule=self.rule, close=self.close)


def problem_answer(
    problem: Problem,
    request_id: str,
    detail: str | None = None,
    *,
    field: str | None = None,
    rule: str | None = None,
    headers: Headers = (),
    close: bool = False,
) -> Answer:
    """Return the answer for a problem, with Retry-After where a retry makes sense, and the scheme if a token is due."""
    body = json.dumps(
        {
            "type": problem.type,
            "title": problem.title,
            "status": problem.status,
            "detail": detail or f"{problem.title}.",
            "field": field,
            "rule": rule,
            "request_id": request_id,
        },
        separators=(",", ":"),
    )
    if problem.retry_after is not None:
        headers = (*headers, (b"retry-after", b"%d" % problem.retry_after))
    if problem is Problem.UNAUTHORIZED:
        headers = (*headers, (b"www-authenticate", b'Bearer realm="ratchet"'))
    return Answer(problem.status, body.encode(), CONTENT_TYPE, headers, close)
