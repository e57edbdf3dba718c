"""Takes secrets out of text that is about to be shown."""

import json
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

HIDDEN = "[hidden]"

SHORTEST = 4
"""A shorter value would be found in ordinary words."""


class Redactor:
    """Knows the secrets of this process and hides them wherever they stand in a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Hide these too: plain, in a repr, in JSON, in an address; of an address also its password alone."""
        forms = set(self._forms)
        for secret in secrets:
            for part in (secret, _password(secret)):
                forms |= {
                    part,
                    repr(part)[1:-1],
                    json.dumps(part)[1:-1],
                    json.dumps(part, ensure_ascii=False)[1:-1],
                    quote(part, safe=""),
                }
        self._forms = tuple(sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True))

    def clean(self, text: str) -> str:
        """Return `text` without the secrets."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, HIDDEN)
        return text


def _password(secret: str) -> str:
    if "://" not in secret:
        return ""
    try:
        return urlsplit(secret).password or ""
    except ValueError:
        return ""
