"""Trailing stops: raised bar by bar, never lowered."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ratchet.domain.instruments import Instrument
from ratchet.domain.positions import Layer, LayerStatus

FROZEN = frozenset({LayerStatus.CLOSING, LayerStatus.CLOSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Where a bar leaves a layer's high and stop, and whether it closed below the stop."""

    high: Decimal
    stop: Decimal
    hit: bool


def on_bar(layer: Layer, instrument: Instrument, close: Decimal, atr: Decimal) -> Moved:
    """Apply one bar's close and ATR to a layer. The hit is tested after the stop has moved, strictly below it.

    A smaller ATR may lift the stop although the price fell. A layer that is closing keeps its stop and is not hit
    again: an exit has already taken it. Source: docs/domain.md, section 7.
    """
    if layer.status in FROZEN:
        return Moved(high=layer.high, stop=layer.stop, hit=False)
    high = max(layer.high, close)
    stop = max(layer.stop, high - instrument.trailing_atr * atr)
    return Moved(high=high, stop=stop, hit=close < stop)
