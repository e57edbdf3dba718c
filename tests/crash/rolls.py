"""Leaders that die, stall or lose a connection at each step of a roll and of winning the lease: the cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ratchet.failpoints import Action, Failpoint

K = Failpoint
LEGS = {"GOLD_MINI": 2, "BANK_NIFTY": 4}
"""Orders of a roll: of a future, and of a synthetic one."""
PAUSE_SECONDS = 6.5
"""Longer than the leader's lease and than the hold on a roll, so that another leader has taken both."""
_ORDER = (K.K6, K.K7, K.K8, K.K9, K.K10, K.K14)
"""Crash points that each order passes once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollCase:
    """One death of a leader at the nth passing of a crash point, while a layer of `instrument` is due to roll."""

    instrument: str
    point: Failpoint
    action: Action
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.instrument}-{self.point}-{self.action}-{self.nth}"

    @property
    def spec(self) -> str:
        """How it is armed."""
        pause = f":{PAUSE_SECONDS}" if self.action is Action.PAUSE else ""
        return f"{self.point}:{self.action}{pause}:{self.nth}"

    @property
    def may_stay_failed(self) -> bool:
        """A permission that a living process may still use is no proof: the roll fails, and a person decides."""
        return self.action is Action.PAUSE and self.point in (K.K7, K.K8, K.K9)


def everything() -> Iterator[RollCase]:
    """Yield the whole product: K17 before each leg and the end, K18, and each order's own points, in every way."""
    for instrument, legs in LEGS.items():
        for action in Action:
            yield RollCase(instrument=instrument, point=K.K18, action=action)
            for nth in range(1, legs + 2):
                yield RollCase(instrument=instrument, point=K.K17, action=action, nth=nth)
            for point in _ORDER:
                for nth in range(1, legs + 1):
                    yield RollCase(instrument=instrument, point=point, action=action, nth=nth)


ALWAYS = frozenset(
    {
        "BANK_NIFTY-K17-kill-4",
        "GOLD_MINI-K17-pause-2",
        "BANK_NIFTY-K17-cut-2",
        "BANK_NIFTY-K17-raise-5",
        "GOLD_MINI-K18-kill-1",
        "GOLD_MINI-K18-pause-1",
        "GOLD_MINI-K18-cut-1",
        "BANK_NIFTY-K8-kill-3",
        "BANK_NIFTY-K10-kill-2",
    }
)
"""The cases that every run takes."""
