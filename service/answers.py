"""What goes back to a client as bytes: made by hand, because serialisers cost more than the accept itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ratchet.execution.submission import Duplicate, Receipt
from service.asgi import Headers

JSON = b"application/json"


class Answer(NamedTuple):
    """A whole response. headers: besides the content's type and length. close: the connection ends with it."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()
    close: bool = False


_DUPLICATE: Mapping[Duplicate | None, str] = {
    None: "null",
    Duplicate.EXACT: '"exact"',
    Duplicate.WINDOW: '"window"',
}


def receipt_answer(receipt: Receipt, request_id: str) -> Answer:
    """Return 202 for a new signal, 200 for one that is known already, with the id and status of its row."""
    body = (
        f'{{"id":"{receipt.id}","status":"{receipt.status.value}",'
        f'"duplicate":{_DUPLICATE[receipt.duplicate]},"request_id":"{request_id}"}}'
    )
    return Answer(202 if receipt.duplicate is None else 200, body.encode())
