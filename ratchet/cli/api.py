"""Talks HTTP to a running service, with the standard library: blocking calls, one connection per thread."""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed

TIMEOUT_SECONDS = 15.0
"""Longest wait for any part of an answer; longer than the service itself takes to give up."""


class NoAnswer(Exception):
    """No connection, or no answer that can be read; what was asked may have been done."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the service."""

    status: int
    body: Any

    @property
    def good(self) -> bool:
        """Whether the request was accepted."""
        return 200 <= self.status < 300

    @property
    def problem(self) -> str:
        """What a refusal says."""
        if not isinstance(self.body, dict):
            return f"HTTP {self.status}"
        field, rule = self.body.get("field"), self.body.get("rule")
        where = f" (field {field}, rule {rule})" if field else ""
        return f"HTTP {self.status}: {self.body.get('detail') or self.body.get('title') or 'no reason given'}{where}"


class Api:
    """One service at one address. May be used by several threads."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandFailed(f"{url!r} is no address: write http://host:port", Exit.USAGE)
        self.url = url.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._token = token
        self._local = threading.local()

    def get(self, path: str, **query: Any) -> Reply:
        """GET a path. Raises NoAnswer."""
        return self._call("GET", _with_query(path, query), None)

    def post(self, path: str, body: bytes, **query: Any) -> Reply:
        """POST a JSON body. Raises NoAnswer."""
        return self._call("POST", _with_query(path, query), body)

    def read(self, path: str, **query: Any) -> Any:
        """GET a path and return its content. Raises CommandFailed if it is not to be had."""
        try:
            reply = self.get(path, **query)
        except NoAnswer as error:
            raise CommandFailed(
                f"no answer from {self.url} ({error}); is it running? `ratchet run`, or set RATCHET_URL",
                Exit.UNREACHABLE,
            ) from error
        if reply.status == 401:
            raise CommandFailed(
                f"{self.url} does not know the token; set RATCHET_API_TOKEN, or RATCHET_HOME to the service's folder",
                Exit.CONFIGURATION,
            )
        if not reply.good:
            unreachable = reply.status in (502, 503, 504)
            raise CommandFailed(f"{self.url}{path}: {reply.problem}", Exit.UNREACHABLE if unreachable else Exit.FOUND)
        return reply.body

    def pages(self, path: str, *, most: int, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of a list, page by page, `most` at the most. Raises CommandFailed."""
        cursor: str | None = None
        left = most
        while left > 0:
            page = self.read(path, **query, limit=min(left, 500), cursor=cursor)
            yield from page["items"]
            left -= len(page["items"])
            cursor = page["next"]
            if cursor is None:
                return

    def _call(self, method: str, target: str, body: bytes | None) -> Reply:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, self._prefix + target, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NoAnswer(f"{type(error).__name__}: {error}") from error
        try:
            return Reply(answer.status, json.loads(content) if content else None)
        except ValueError:
            return Reply(answer.status, content.decode(errors="replace"))

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            found = self._local.connection = kind(self._host, self._port, timeout=TIMEOUT_SECONDS)
        elif found.sock is not None and _ended(found.sock):
            found.close()  # the next request opens another
        return found


def _ended(idle: socket.socket) -> bool:
    """Whether the other side has closed a connection that nothing is awaited on. Source: RFC 9112, section 9.5."""
    poll = select.poll()
    poll.register(idle, select.POLLIN)
    return bool(poll.poll(0))


def _with_query(path: str, query: Mapping[str, Any]) -> str:
    given = {name: _text(value) for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
