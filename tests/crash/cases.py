"""The matrix of flows, crash points and deaths: the whole product, and the part that every run takes."""

from __future__ import annotations

from dataclasses import dataclass

from ratchet.failpoints import Action, Failpoint
from tests.crash.flows import FLOWS, Flow

K = Failpoint
PAUSE_SECONDS = 1.7
"""Longer than the claim lease of the test preset, and than the window of a send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One death at one crash point of one flow. nth: at which passing, from 1."""

    flow: Flow
    point: Failpoint
    action: Action
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.flow.name}-{self.point}-{self.action}" + (f"-{self.nth}" if self.nth > 1 else "")

    @property
    def spec(self) -> str:
        """How it is armed."""
        pause = f":{PAUSE_SECONDS}" if self.action is Action.PAUSE else ""
        return f"{self.point}:{self.action}{pause}:{self.nth}"

    @property
    def may_be_unsent(self) -> bool:
        """An entry whose permission to send was used by nobody is not sent again: it ends as not placed."""
        return self.flow.is_entry and self.point in (K.K7, K.K8)


def product(action: Action) -> list[Case]:
    """Return every case of an action."""
    return [Case(flow=flow, point=point, action=action) for flow in FLOWS for point in flow.points]


def covering(action: Action, *, turn: int) -> list[Case]:
    """Return one case of each crash point that flows pass; `turn` moves which flow stands for it."""
    chosen = []
    for n, point in enumerate(point for point in Failpoint if any(point in flow.points for flow in FLOWS)):
        flows = [flow for flow in FLOWS if point in flow.points]
        chosen.append(Case(flow=flows[(n + turn) % len(flows)], point=point, action=action))
    return chosen


def second_orders(action: Action) -> list[Case]:
    """Return cases at the second order of a plan with two: a synthetic's put, and the last order of an exit."""
    points = (K.K6, K.K7, K.K8, K.K9, K.K10, K.K11, K.K14)
    return [
        Case(flow=flow, point=point, action=action, nth=2)
        for flow in FLOWS
        if flow.instrument == "BANK_NIFTY"
        for point in points
    ]
