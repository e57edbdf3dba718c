"""Who may call: webhook tokens and the API token, compared so that timing tells nothing."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from hashlib import blake2b

from pydantic import SecretStr

from ratchet.config.portfolio import Route, WebhookToken

_DIGEST_BYTES = 32


class TokenDigests:
    """Digests under a key that is new in each process, so that nobody can choose what is compared with what.

    All entries are compared, each in constant time, whether one matched already or not.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self._key = secrets.token_bytes(_DIGEST_BYTES)
        self._digests = tuple(self._digest(token) for token in tokens)

    def find(self, presented: str) -> int | None:
        """Return the index of the token that `presented` equals, or None."""
        digest = self._digest(presented)
        found = None
        for index, known in enumerate(self._digests):
            if hmac.compare_digest(known, digest):
                found = index
        return found

    def _digest(self, token: str) -> bytes:
        # surrogatepass: a token in a JSON body may hold anything, and must be wrong rather than an error
        return blake2b(token.encode("utf-8", "surrogatepass"), key=self._key, digest_size=_DIGEST_BYTES).digest()


class WebhookTokens:
    """The tokens of the webhook; each belongs to one account and strategy."""

    def __init__(self, tokens: Iterable[WebhookToken]) -> None:
        entries = tuple(tokens)
        self._routes = tuple(entry.route for entry in entries)
        self._digests = TokenDigests(entry.token.get_secret_value() for entry in entries)

    def route(self, presented: str | None) -> Route | None:
        """Return whom a token's signals belong to, or None if it is wrong or missing."""
        if not presented:
            return None
        index = self._digests.find(presented)
        return None if index is None else self._routes[index]


class ApiTokens:
    """The bearer tokens of everything but the webhook: the present one and, during a change, the one before."""

    def __init__(self, *tokens: SecretStr | None) -> None:
        self._digests = TokenDigests(token.get_secret_value() for token in tokens if token is not None)

    def accepts(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether the request's `Authorization: Bearer` is right. headers: names in lower case."""
        for name, value in headers:
            if name == b"authorization":
                scheme, _, token = value.decode("latin-1").partition(" ")
                return scheme.lower() == "bearer" and self._digests.find(token.strip()) is not None
        return False
