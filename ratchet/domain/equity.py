"""What an account is worth, what its layers put at risk, and how much margin is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ratchet.domain.instruments import EquityMode, Instrument, Limits
from ratchet.domain.numbers import ZERO
from ratchet.domain.positions import Layer

HUNDRED = Decimal(100)

CUT_ABOVE = Decimal(5)
NO_NEW_TRADE_ABOVE = Decimal(10)
HALT_ABOVE = Decimal(15)
"""Percent of drawdown. Source: docs/domain.md, section 6.1, drawdown ladder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equity:
    """An account's worth in rupees. closed: the sum of its ledger; unrealised: of everything that it holds.

    Source: docs/domain.md, section 6.1.
    """

    closed: Decimal
    unrealised: Decimal

    @property
    def open(self) -> Decimal:
        """Closed equity with the whole unrealised result."""
        return self.closed + self.unrealised

    def blended(self, weight: Decimal) -> Decimal:
        """Closed equity with `weight` (0 to 1) of the unrealised result: the base of every percentage."""
        return self.closed + weight * self.unrealised

    def sizing(self, limits: Limits) -> Decimal:
        """The equity that base entries are sized on."""
        if limits.equity_mode is EquityMode.CLOSED:
            return self.closed
        return self.blended(limits.unrealised_weight)


def unrealised(
    layers: Iterable[Layer], price_of: Callable[[Layer], Decimal], instruments: Mapping[str, Instrument]
) -> Decimal:
    """Return the unrealised result of `layers` in rupees, each at the price that `price_of` gives for it.

    Raises KeyError for a layer of an instrument that the portfolio does not know: a guessed point value is worse.
    """
    return sum(
        (
            (price_of(layer) - layer.contract_entry) * layer.lots * instruments[layer.instrument].point_value
            for layer in layers
        ),
        ZERO,
    )


def trade_profit(layers: Iterable[Layer], price: Decimal, instrument: Instrument) -> Decimal:
    """Return what a trade's layers have earned at `price`, in rupees, rolls included: what pyramids are sized by.

    Counted from the entries that a roll moves by its gap, so that it does not jump. Source: docs/domain.md, D-12, D-33.
    """
    return sum(((price - layer.entry_price) * layer.lots * instrument.point_value for layer in layers), ZERO)


def available_margin(blended: Decimal, in_use: Decimal, limits: Limits) -> Decimal:
    """Return the rupees of margin that new risk may still take; never negative.

    in_use: margin of open positions plus what intents in flight have reserved. Source: docs/domain.md, D-10.
    """
    return max(ZERO, blended * limits.margin / HUNDRED - in_use)


def layer_risk(layer: Layer, instrument: Instrument) -> Decimal:
    """Return the rupees that `layer` loses from its entry to its current stop; 0 once the stop has passed the entry."""
    return max(ZERO, layer.entry_price - layer.stop) * layer.lots * instrument.point_value


def layer_vol(layer: Layer, instrument: Instrument) -> Decimal:
    """Return the rupees that `layer` moves in one ATR, by the ATR at its entry."""
    return layer.atr * layer.lots * instrument.point_value


def percent(amount: Decimal, equity: Decimal) -> Decimal:
    """Return `amount` in percent of `equity`, to be shown.

    Rounded to the decimal context, so limits are not compared with it. Without positive equity any amount is infinite.
    """
    if equity > 0:
        return amount * HUNDRED / equity
    return Decimal("Infinity") if amount > 0 else ZERO


def drawdown_factor(*, equity: Decimal, peak: Decimal, pyramid: bool, limits: Limits) -> Decimal:
    """Return what the drawdown ladder leaves of an entry's risk: 1 (all), 0.75, or 0 (no entry).

    equity, peak: rupees, the account's worth now and at its highest. Above 5 % of drawdown a base entry risks a
    quarter less; above 10 % no trade is begun, pyramids of running trades go on; above 15 % nothing is added.
    Always 1 where the ladder is switched off. Source: docs/domain.md, section 6.1.
    """
    if not limits.drawdown_ladder:
        return Decimal(1)
    loss = (peak - equity) * HUNDRED
    if loss > HALT_ABOVE * peak:
        return ZERO
    if pyramid:
        return Decimal(1)
    if loss > NO_NEW_TRADE_ABOVE * peak:
        return ZERO
    return Decimal("0.75") if loss > CUT_ABOVE * peak else Decimal(1)
