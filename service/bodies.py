"""Reads a request's body: no longer than a limit, and no slower than a time that the caller sets around it."""

from __future__ import annotations

from service.asgi import Receive

DISCARDED_BYTES = 4 * 1024 * 1024
"""How much of a too long body is read and thrown away, so that its sender gets to see the answer.

A connection that is closed with unread bytes is reset, and the reset overtakes the answer.
"""


class BodyTooLong(Exception):
    """The body is longer than the limit. drained: it was read to its end, so the connection can go on."""

    def __init__(self, *, drained: bool) -> None:
        super().__init__("body too long")
        self.drained = drained


class ClientGone(Exception):
    """The client closed the connection before its request was complete; nobody waits for an answer."""


async def receive_body(receive: Receive, *, limit: int) -> bytes:
    """Return the whole body. limit: bytes. Raises BodyTooLong or ClientGone."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    first: bytes = message.get("body", b"")
    more: bool = message.get("more_body", False)
    if not more and len(first) <= limit:
        return first
    chunks = [first]
    size = len(first)
    while more and size <= DISCARDED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
    if size > limit:
        raise BodyTooLong(drained=not more)
    return b"".join(chunks)
