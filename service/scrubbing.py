"""Takes our own tokens out of a message before it is hashed and stored: templates of alerts repeat them anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ratchet.domain.webhook_body import Body
from ratchet.observability.redaction import Redactor

_ESCAPE = b"\\u"


class Scrubber:
    """Knows the tokens that senders and callers hold. The field `token` itself is gone from a body that was read."""

    def __init__(self, tokens: Iterable[str]) -> None:
        known = tuple(tokens)
        self._raw = tuple(token.encode() for token in known)
        self._redactor = Redactor(known)

    def clean(self, body: bytes, message: Body) -> Body:
        """Return the message without our tokens, in names and in values; itself where the bytes hold none."""
        if _ESCAPE not in body and not any(token in body for token in self._raw):
            return message
        return replace(message, fields=self._clean(message.fields), payload=self._clean(message.payload))

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redactor.clean(value)
        if isinstance(value, dict):
            return {self._redactor.clean(name): self._clean(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._clean(inner) for inner in value]
        return value
