"""The words of ASGI that several modules use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Shortcut(Protocol):
    """What our server offers a request besides ASGI: no waiting for what is there, and one write instead of two."""

    def body(self) -> bytes | None:
        """Return the request's body if all of it has arrived, once; None if it has to be received."""
        ...

    def respond(self, status: int, head: bytes, body: bytes, *, close: bool) -> bool:
        """Write a whole response; False if that cannot be, and nothing was written. head: lines of headers."""
        ...


SHORTCUT = "ratchet.shortcut"
"""The ASGI extension under which it is offered."""

CLOSE: Headers = ((b"connection", b"close"),)
"""Tells the client, and the server itself, that this connection ends with this answer."""
