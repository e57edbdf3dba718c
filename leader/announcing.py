"""What a leader tells the world around it, besides its log: one word for the kind, one sentence for people."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Moment(StrEnum):
    """What is told, each time that it happens."""

    LEADER_ELECTED = "LeaderElected"
    LEADER_RELEASED = "LeaderReleased"
    LEADERSHIP_LOST = "LeadershipLost"
    FENCED_OUT = "FencedOut"
    ROLLOVER_STARTED = "RolloverStarted"
    ROLLOVER_COMPLETED = "RolloverCompleted"
    ROLLOVER_FAILED = "RolloverFailed"
    CLEANUP_COMPLETED = "CleanupCompleted"
    RECONCILIATION_MISMATCH = "ReconciliationMismatch"


ALARMING = frozenset(
    {Moment.LEADERSHIP_LOST, Moment.FENCED_OUT, Moment.ROLLOVER_FAILED, Moment.RECONCILIATION_MISMATCH}
)
"""What somebody should look at."""


class Announce(Protocol):
    """Tells it, as well as it can: returns at once, raises nothing, and may lose it."""

    def __call__(self, moment: Moment, sentence: str) -> None:
        """Tell."""
        ...


def to_nobody(moment: Moment, sentence: str) -> None:
    """Tell nobody: the log has it."""
