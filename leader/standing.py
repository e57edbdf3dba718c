"""What a process knows of its leadership and shows to people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(slots=True)
class Standing:
    """epoch, renewed_at: None while it does not lead. last_rollover, next_rollover: as far as this process has seen."""

    epoch: int | None = None
    holder: str | None = None
    renewed_at: float | None = None
    transitions: int = 0
    last_rollover: datetime | None = None
    next_rollover: date | None = None
