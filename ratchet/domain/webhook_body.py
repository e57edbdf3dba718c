"""From bytes to a JSON object with exact numbers: what must hold before any field is looked at (rule V01)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

MAX_BYTES = 10_240
BODY = "$body"
"""The name of the field where the fault lies in the body as a whole."""

TOKEN = "token"
"""The field that may hold the secret; it is taken out before anything is stored or hashed."""

MAX_DEPTH = 100
"""How deep values may nest: far from where any reader or writer of JSON runs out of stack."""

_SHORT_INTEGER = 18
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class InvalidSignal(ValueError):
    """A message that breaks a rule. field: its name, nested ones with a dot; rule: `V01`..`V21`; message: for people.

    Source: docs/domain.md, section 2.5.
    """

    def __init__(self, field: str, rule: str, message: str) -> None:
        super().__init__(f"{field}: {message} ({rule})")
        self.field = field
        self.rule = rule
        self.message = message


class TooLarge(ValueError):
    """A body longer than allowed. size, limit: bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the body has {size} bytes, at most {limit} are read")
        self.size = size
        self.limit = limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A well-formed body, not yet checked as a signal.

    fields: the object less its token; numbers are `int` or `Decimal`. token: None where there is none or no string.
    payload: the fields as JSON can hold them exactly: numbers with a fraction or an exponent become their text.
    """

    fields: Mapping[str, Any]
    token: str | None
    payload: dict[str, Any]

    @property
    def payload_hash(self) -> str:
        """SHA-256 (hex) of the payload's canonical JSON: sorted names, no spaces, so that order does not matter."""
        text = _CANONICAL.encode(self.payload)
        return hashlib.sha256(text.encode()).hexdigest()


def read_body(body: bytes, limit: int = MAX_BYTES) -> Body:
    """Read the bytes of a message, whatever their declared content type. Raises TooLarge and InvalidSignal (V01).

    Of a name that occurs twice the last one counts.
    """
    if len(body) > limit:
        raise TooLarge(len(body), limit)
    try:
        text = body.decode("utf-8")
        parsed = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidSignal(BODY, "V01", "must be JSON in UTF-8") from error
    if not isinstance(parsed, dict) or not parsed:
        raise InvalidSignal(BODY, "V01", "must be a JSON object with at least one field")
    # Without an escape no string can hold these, and with few brackets nothing can nest deep.
    if "\\u" in text or text.count("{") + text.count("[") > MAX_DEPTH:
        _refuse_unstorable(parsed)
    token = parsed.pop(TOKEN, None)
    payload = {name: value if type(value) in _AS_THEY_ARE else _exact(value) for name, value in parsed.items()}
    return Body(fields=parsed, token=token if isinstance(token, str) else None, payload=payload)


def _refuse_unstorable(parsed: dict[str, Any]) -> None:
    for text in _strings(parsed):
        if _UNSTORABLE.search(text):
            raise InvalidSignal(BODY, "V01", "must not hold U+0000 or half of a surrogate pair")


def _number(text: str) -> Decimal | str:
    """Read a number exactly. One beyond the reach of Decimal stays text, which no numeric field takes."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _integer(text: str) -> int | Decimal:
    """Read a whole number. A long one becomes Decimal, since Python refuses to print very long integers."""
    return int(text) if len(text) <= _SHORT_INTEGER else Decimal(text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_refuse_constant)


def _strings(value: Any) -> Iterator[str]:
    """Yield every string, names too, without recursion. Raises InvalidSignal where the nesting is too deep."""
    pending: list[tuple[Any, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict | list):
            if depth > MAX_DEPTH:
                raise InvalidSignal(BODY, "V01", f"must not nest deeper than {MAX_DEPTH}")
            if isinstance(item, dict):
                yield from item
            pending.extend((inner, depth + 1) for inner in (item.values() if isinstance(item, dict) else item))


def _exact(value: Any) -> Any:
    if isinstance(value, str | int):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {name: _exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    return value
