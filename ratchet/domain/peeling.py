"""Peeling: taking lots off a layer that has outgrown its share of the equity."""

from __future__ import annotations

from decimal import Decimal

from ratchet.domain.equity import layer_risk
from ratchet.domain.instruments import Instrument
from ratchet.domain.numbers import ceil_quotient
from ratchet.domain.positions import Layer, LayerStatus


def peel_lots(layer: Layer, instrument: Instrument, equity: Decimal, atr: Decimal) -> int:
    """Return the lots to take off `layer` so that its ongoing limits hold again; 0 at or below them.

    equity: rupees, blended; atr: of the bar. Volatility counts only where it binds for the instrument, else a fresh
    base would be peeled at once. Only an open layer is peeled. Source: docs/domain.md, section 5.3 and D-13.
    """
    if layer.status is not LayerStatus.OPEN:
        return 0
    need = _excess_lots(layer_risk(layer, instrument), instrument.ongoing_risk, equity, layer.lots)
    if instrument.vol_binds:
        vol = atr * layer.lots * instrument.point_value
        need = max(need, _excess_lots(vol, instrument.ongoing_vol, equity, layer.lots))
    return min(layer.lots, need)


def _excess_lots(amount: Decimal, limit_percent: Decimal, equity: Decimal, lots: int) -> int:
    excess = amount * 100 - limit_percent * equity
    if amount <= 0 or excess <= 0:
        return 0
    return ceil_quotient(excess * lots, amount * 100)  # excess / (amount per lot), divided last
