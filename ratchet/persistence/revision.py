"""Which revision of the schema this program is made for, without alembic, whose import costs a pod 10 MB."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


@cache
def newest() -> str:
    """Return the newest revision that this program ships. Revisions are four digits that count up."""
    return max(file.stem[1:5] for file in _VERSIONS.glob("v[0-9][0-9][0-9][0-9]_*.py"))


def serves(found: str | None) -> bool:
    """Whether this program can work with a database of that revision; None: it was never migrated.

    A newer one will do: a release keeps the one before it working.
    """
    return found is not None and found >= newest()
