"""The diary of one schedule: what was done when, as the report shows it."""

from __future__ import annotations

import time
from typing import Any


class Diary:
    """Entries with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.entries: list[dict[str, Any]] = []

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def note(self, what: str, **detail: Any) -> None:
        """Write an entry."""
        self.entries.append({"at": round(self.seconds, 2), "what": what, **detail})
