"""How many lots an entry buys. Every quotient is exact: a rounded one can lose a whole lot or gain one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import floor

from ratchet.domain.instruments import Instrument
from ratchet.domain.numbers import ZERO, stored
from ratchet.domain.positions import Layer

FIRST_PYRAMID = 2
LAST_PYRAMID = 6
HALF = Fraction(1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """The lots to buy, and what limited them.

    limiter: for a base `risk`, `volatility` or `margin`; for a pyramid `margin`, `geometric` or `risk_budget`;
    `invalid_risk` if the stop does not lie below the price. lot_*: what each limit alone would allow, in lots to four
    decimals, for the record: r risk (of a pyramid: risk budget), v volatility, m margin, g geometric; None = not asked.
    """

    lots: int
    limiter: str
    lot_r: Decimal | None
    lot_v: Decimal | None
    lot_m: Decimal | None
    lot_g: Decimal | None = None


def size_base(
    *,
    equity: Decimal,
    price: Decimal,
    stop: Decimal,
    er: Decimal,
    atr: Decimal,
    available_margin: Decimal,
    instrument: Instrument,
) -> Sized:
    """Size a base entry by its risk and the free margin, and by volatility where the instrument says that it binds.

    equity, available_margin: rupees; price, stop, atr: price units; er: 0 to 1. Without a positive ATR the
    volatility budget is 0 lots. Source: docs/domain.md, section 5.1 and D-9.
    """
    point = Fraction(instrument.point_value)
    lot_m = Fraction(available_margin) / Fraction(instrument.margin_per_lot)
    lot_v = Fraction(0)
    if atr > 0:
        lot_v = Fraction(equity) * Fraction(instrument.initial_vol) / (100 * Fraction(atr) * point)
    distance = Fraction(price) - Fraction(stop)
    if distance <= 0:
        return Sized(lots=0, limiter="invalid_risk", lot_r=None, lot_v=_shown(lot_v), lot_m=_shown(lot_m))
    lot_r = Fraction(equity) * Fraction(instrument.initial_risk) * Fraction(er) / (100 * distance * point)
    caps = {"risk": lot_r, "margin": lot_m}
    if instrument.vol_binds:
        caps = {"risk": lot_r, "volatility": lot_v, "margin": lot_m}
    limiter = min(caps, key=lambda name: caps[name])  # min keeps the first of equals
    return Sized(
        lots=max(0, floor(caps[limiter])),
        limiter=limiter,
        lot_r=_shown(lot_r),
        lot_v=_shown(lot_v),
        lot_m=_shown(lot_m),
    )


def size_pyramid(
    *,
    number: int,
    price: Decimal,
    stop: Decimal,
    available_margin: Decimal,
    base: Layer,
    unrealised: Decimal,
    instrument: Instrument,
) -> Sized:
    """Size `Long_<number>` by the free margin, the halves of the base, and half of the profit above the base's risk.

    unrealised: rupees, of all open layers of the instrument at the signal's price. The base counts with the lots of
    its entry, so that peeling it does not shrink later layers. Source: docs/domain.md, section 5.2 and D-12.
    Raises ValueError unless 2 <= number <= 6.
    """
    if not FIRST_PYRAMID <= number <= LAST_PYRAMID:
        raise ValueError(f"Long_{number} is not a pyramid")
    lot_m = Fraction(available_margin) / Fraction(instrument.margin_per_lot)
    lot_g = base.entry_lots * HALF ** (number - 1)
    distance = Fraction(price) - Fraction(stop)
    if distance <= 0:
        return Sized(lots=0, limiter="invalid_risk", lot_r=None, lot_v=None, lot_m=_shown(lot_m), lot_g=_shown(lot_g))
    point = Fraction(instrument.point_value)
    base_risk = max(Fraction(0), Fraction(base.entry_price) - Fraction(base.initial_stop)) * base.entry_lots * point
    excess = max(Fraction(0), Fraction(unrealised) - base_risk)
    lot_r = HALF * excess / (distance * point)
    # whole lots are compared, not quotients: of limits that allow the same lots the first one is named
    caps = {"margin": floor(lot_m), "geometric": floor(lot_g), "risk_budget": floor(lot_r)}
    limiter = min(caps, key=lambda name: caps[name])  # min keeps the first of equals
    return Sized(
        lots=max(0, caps[limiter]),
        limiter=limiter,
        lot_r=_shown(lot_r),
        lot_v=None,
        lot_m=_shown(lot_m),
        lot_g=_shown(lot_g),
    )


def stop_for(signal_stop: Decimal | None, entry: Decimal, atr: Decimal, instrument: Instrument) -> Decimal:
    """Return the one stop that is sized with and stored: the signal's, else the initial multiple of ATR below entry.

    Source: docs/domain.md, D-11.
    """
    return signal_stop if signal_stop is not None else entry - instrument.initial_atr * atr


def resize(original: int, again: Sized) -> int:
    """Return the lots to buy after sizing `again` at the broker's price: never more than the original; 0 = blocked.

    Source: docs/domain.md, D-14.
    """
    return min(original, again.lots)


def _shown(lots: Fraction) -> Decimal:
    return stored(Decimal(lots.numerator) / Decimal(lots.denominator)) if lots > 0 else ZERO
