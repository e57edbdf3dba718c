"""What the end of the session asks for: one action at most, from the chart's last view and our own position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ratchet.domain.signals import ALL, BASE_LAYER, LAYERS, SignalKind

DECIDED_BEFORE_CLOSE = timedelta(seconds=45)
"""When it is decided; also the stamp of the action, so that however many decide, one is stored."""
USABLE = timedelta(seconds=90)
"""An older view says nothing. Source: docs/domain.md, section 10."""

SEVEN = (
    "rsi_condition",
    "ema_condition",
    "dc_condition",
    "adx_condition",
    "er_condition",
    "st_condition",
    "not_doji",
)
"""The conditions that together are an entry."""


@dataclass(frozen=True, slots=True)
class Action:
    """A trade to make. position: `Long_1`..`Long_6`, or `ALL` for an exit."""

    kind: SignalKind
    position: str


def action(
    conditions: Mapping[str, bool], *, in_position: bool, layers_opened: int, max_pyramids: int
) -> Action | None:
    """Return what is to be done. layers_opened: of the running trade, closed ones included.

    Source: docs/domain.md, section 2.3.
    """
    if in_position and conditions["long_exit"]:
        return Action(SignalKind.EXIT, ALL)
    if not (conditions["long_entry"] or all(conditions[name] for name in SEVEN)):
        return None
    if not in_position:
        return Action(SignalKind.BASE_ENTRY, BASE_LAYER)
    if not 1 <= layers_opened <= max_pyramids or layers_opened >= len(LAYERS):
        return None
    return Action(SignalKind.PYRAMID, LAYERS[layers_opened])


def due(now: datetime, close: datetime | None) -> datetime | None:
    """Return the stamp of the action if now is the time for it: from 45 s before the close until the close."""
    if close is None or not close - DECIDED_BEFORE_CLOSE <= now < close:
        return None
    return close - DECIDED_BEFORE_CLOSE
