"""The words of ASGI that several modules use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

Respond: TypeAlias = Callable[[int, list[tuple[bytes, bytes]], bytes], bool]
"""Writes a whole response: status, headers, body. False if it could not, and nothing was written."""

RESPOND = "ratchet.respond"
"""The ASGI extension under which our server offers it: one write instead of two, and no checks of our own constants."""

CLOSE: Headers = ((b"connection", b"close"),)
"""Tells the client, and the server itself, that this connection ends with this answer."""
