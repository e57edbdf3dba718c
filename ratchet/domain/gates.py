"""What must hold before an entry may add risk. Each gate that fails gives its reason; all of them are collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ratchet.domain.instruments import Instrument, Limits
from ratchet.domain.numbers import ZERO
from ratchet.domain.positions import Layer, LayerStatus
from ratchet.domain.refusals import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioLoad:
    """What an account carries now, in rupees. equity: blended; margin: in use, with what is reserved."""

    equity: Decimal
    risk: Decimal
    vol: Decimal
    margin: Decimal


def portfolio_gate(
    load: PortfolioLoad,
    new_risk: Decimal,
    new_vol: Decimal,
    new_margin: Decimal,
    limits: Limits,
    pyramid: bool,
) -> tuple[Reason, ...]:
    """Return why the portfolio cannot take the new risk, volatility and margin (rupees); empty if it can.

    Only what lies above a limit is refused, exactly at it passes. Pyramids have tighter limits of risk and
    volatility. Without positive equity nothing passes. Source: docs/domain.md, sections 6.2 and 6.3 (4, 6), D-18.
    """
    risk_limit = limits.pyramid_risk if pyramid else limits.risk
    vol_limit = limits.pyramid_vol if pyramid else limits.vol
    tests = (
        (load.risk + new_risk, risk_limit, Reason.PORTFOLIO_RISK),
        (load.vol + new_vol, vol_limit, Reason.PORTFOLIO_VOL),
        (load.margin + new_margin, limits.margin, Reason.MARGIN),
    )
    return tuple(
        reason
        for amount, limit, reason in tests
        # cross-multiplied, so that no rounded quotient decides
        if load.equity <= 0 or amount * 100 > limit * load.equity
    )


def margin_warns(load: PortfolioLoad, new_margin: Decimal, limits: Limits) -> bool:
    """Whether the projected utilisation lies above the level of warning; exactly at it does not. Refuses nothing.

    Source: docs/domain.md, section 6.2, D-16.
    """
    return (load.margin + new_margin) * 100 > limits.margin_warn * load.equity


def pyramid_gates(
    *,
    number: int,
    layers: Sequence[Layer],
    layers_opened: int,
    price: Decimal,
    atr: Decimal,
    last_layer_price: Decimal,
    instrument: Instrument,
) -> tuple[Reason, ...]:
    """Return why `Long_<number>` may not be added at the signal's `price`; empty if it may.

    layers: the live layers of the instrument, in order. layers_opened: how many layers this trade has opened so far,
    closed ones too. last_layer_price: the *signal* price of the last filled layer, so that slippage does not move
    the timing. Without an open base that is the only reason: nothing else can be measured.
    Source: docs/domain.md, section 6.3 (1, 2, 3, 5) and D-17.
    """
    base = next((layer for layer in layers if layer.number == 1 and layer.status is LayerStatus.OPEN), None)
    if base is None:
        return (Reason.NO_BASE_POSITION,)
    initial_risk = base.entry_price - base.initial_stop
    profit = sum(((price - layer.entry_price) * layer.lots for layer in layers), ZERO)
    failed = {
        Reason.LAYER_OUT_OF_ORDER: number - 1 != layers_opened,
        Reason.MAX_PYRAMIDS: number - 1 > instrument.max_pyramids,
        Reason.ONE_R: initial_risk <= 0 or price - base.entry_price <= initial_risk,
        Reason.SPACING: atr <= 0 or price - last_layer_price < instrument.pyramid_spacing * atr,
        Reason.PROFIT: profit <= 0,
    }
    return tuple(reason for reason, fails in failed.items() if fails)
