"""The right to act as the leader: an epoch, and an end that each renewal moves on."""

from __future__ import annotations

from collections.abc import Callable


class LeadershipLost(Exception):
    """This process leads no more: what it was about to do is the next leader's."""


class Leadership:
    """Handed to each duty. `epoch` goes into every transaction of the leader, which the database checks."""

    def __init__(self, *, epoch: int, until: float, now: Callable[[], float]) -> None:
        self.epoch = epoch
        self._until = until
        self._now = now

    @property
    def remaining_seconds(self) -> float:
        """How long the right to act lasts, if it is not renewed."""
        return max(0.0, self._until - self._now())

    @property
    def valid(self) -> bool:
        """Whether this process may act now. A wrong yes does no harm: the epoch decides."""
        return self._now() < self._until

    def check(self) -> None:
        """Raise LeadershipLost unless this process may act now; asked before each effect outside the database."""
        if not self.valid:
            raise LeadershipLost(f"the right to act under epoch {self.epoch} has ended")

    def extend(self, until: float) -> None:
        """Move the end on, after a renewal."""
        self._until = until

    def end(self) -> None:
        """End it now."""
        self._until = float("-inf")
