"""The page of settings: what the settings say of themselves, and which of them nothing reads yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from docs.markdown import code
from ratchet.config.problems import setting_name
from ratchet.config.reference import markdown
from ratchet.config.settings import Settings

_ROOT = Path(__file__).parents[1]
_PRODUCT = ("ratchet", "service", "leader")
_DECLARING = frozenset({"checks.py", "duties.py", "presets.py", "reference.py", "sections.py"})
"""Files of ratchet/config that name settings without using them."""

_READ = re.compile(r"[.\"]([a-z_]+)\b")


def settings() -> str:
    """Return the page of settings."""
    used = _used_words()
    idle = [setting_name(*path) for path in _paths(Settings, ()) if path[-1] not in used]
    if not idle:
        return markdown()
    return f"{markdown()}\n## Without effect yet\n\nThese are checked at start, and nothing reads them: {code(idle)}.\n"


def _paths(branch: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, field in branch.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _paths(kind, (*path, name))
        else:
            yield (*path, name)


def _used_words() -> frozenset[str]:
    """Return the words that stand behind a dot or a quote in the product, where settings are used."""
    files = (path for folder in _PRODUCT for path in (_ROOT / folder).rglob("*.py"))
    used = (path for path in files if not (path.parent.name == "config" and path.name in _DECLARING))
    return frozenset(word for path in used for word in _READ.findall(path.read_text(encoding="utf-8")))
