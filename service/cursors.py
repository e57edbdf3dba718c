"""Cursors: where the next page of a list starts, as a short text that clients hand back unchanged."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from service.problems import Problem, Refused

_LONGEST = 400
_INT8 = 2**63


def encode(values: Sequence[Any]) -> str:
    """Return the cursor for a key of whole numbers, instants, ids and names."""
    plain = [value if isinstance(value, int | str) else _text(value) for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(cursor: str, kinds: Sequence[type]) -> tuple[Any, ...]:
    """Return the key in a cursor. kinds: what it must hold. Raises Refused for one that no list has given out."""
    try:
        if len(cursor) > _LONGEST:
            raise ValueError("too long")
        plain = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        if not isinstance(plain, list) or len(plain) != len(kinds):
            raise ValueError("another list's")
        return tuple(_value(item, kind) for item, kind in zip(plain, kinds, strict=True))
    except (ValueError, OverflowError, RecursionError, binascii.Error):
        raise Refused(Problem.INVALID_REQUEST, "This cursor was not given out by this list.", field="cursor") from None


def _text(value: datetime | UUID) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _value(item: Any, kind: type) -> Any:
    if kind is int:
        if type(item) is not int or not -_INT8 <= item < _INT8:
            raise ValueError("not a number of a row")
        return item
    if not isinstance(item, str):
        raise ValueError("not a text")
    if kind is UUID:
        return UUID(item)
    if kind is datetime:
        at = datetime.fromisoformat(item)
        if at.tzinfo is None or not 1970 <= at.year < 3000:
            raise ValueError("not an instant of a row")
        return at
    if not item.isprintable():
        raise ValueError("not a name")
    return item
