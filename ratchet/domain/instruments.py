"""Instruments, their contracts, and the limits of a portfolio: plain values, made from the portfolio file."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

PRODUCT = "NRML"
"""Every order is carried overnight. Source: docs/domain.md, section 1."""


class Form(StrEnum):
    """How exposure in an instrument is held."""

    FUTURE = "future"
    SYNTHETIC = "synthetic"  # short PE and long CE of one strike and expiry


class ExpiryRule(StrEnum):
    """Which calendar rule names an instrument's expiries. Source: docs/domain.md, section 10."""

    BANK_NIFTY_MONTHLY = "bank_nifty_monthly"
    FIFTH = "fifth"
    MONTH_END = "month_end"
    SILVER_MONTHS = "silver_months"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One row of docs/domain.md, section 4.

    point_value: rupees for a move of 1.0 in one lot. margin_per_lot: rupees. *_risk, *_vol: percent of equity.
    *_atr: multiples of ATR. roll_days: calendar days before expiry below which a roll is due.
    tender_days: trading days before expiry at which delivery begins (0 = cash settled).
    """

    name: str
    exchange: str
    base: str
    form: Form
    lot_size: int
    tick: Decimal
    point_value: Decimal
    margin_per_lot: Decimal
    initial_risk: Decimal
    ongoing_risk: Decimal
    initial_vol: Decimal
    ongoing_vol: Decimal
    initial_atr: Decimal
    trailing_atr: Decimal
    max_pyramids: int
    pyramid_spacing: Decimal
    roll_days: int
    tender_days: int
    expiry_rule: ExpiryRule
    bar_minutes: int
    strike_interval: Decimal | None = None
    vol_binds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One tradable contract as the broker lists it. lot_size: units a lot; freeze: most units an order, 0 = none."""

    symbol: str
    exchange: str
    expiry: date
    lot_size: int
    tick: Decimal
    freeze: int = 0


class EquityMode(StrEnum):
    """Which equity is sized on. Source: docs/domain.md, section 6.1."""

    BLENDED = "blended"
    CLOSED = "closed"


class RemainderRule(StrEnum):
    """What becomes of the rest of a part-filled entry. Source: docs/domain.md, section 8.3."""

    CANCEL = "cancel"
    WAIT = "wait"
    REATTEMPT = "reattempt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A portfolio's limits, in percent of equity unless said otherwise. Source: docs/domain.md, sections 6 and 8.1."""

    risk: Decimal = Decimal(15)
    vol: Decimal = Decimal(5)
    margin: Decimal = Decimal(60)
    margin_warn: Decimal = Decimal(50)
    pyramid_risk: Decimal = Decimal(12)
    pyramid_vol: Decimal = Decimal(4)
    daily_loss: Decimal = Decimal(3)
    open_incidents: int = 3
    divergence_base: Decimal = Decimal(2)
    divergence_pyramid: Decimal = Decimal(1)
    risk_increase_base: Decimal = Decimal(50)
    risk_increase_pyramid: Decimal = Decimal(20)
    price_sanity: Decimal = Decimal(5)
    equity_mode: EquityMode = EquityMode.BLENDED
    unrealised_weight: Decimal = Decimal("0.5")
    drawdown_ladder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderRules:
    """How a limit order is repriced. Percentages of the price; seconds by the monotonic clock.

    step: percent added per rung against us. rungs: most rungs. stop: percent from the signal's price beyond which
    an entry gives up, and from the last price known at which an exit goes without a quote. band: percent through the
    market of a marketable limit. Source: docs/domain.md, section 8.
    """

    step: Decimal = Decimal("0.1")
    rungs: int = 10
    rung_seconds: float = 1.5
    stop: Decimal = Decimal(2)
    band: Decimal = Decimal("0.5")
    option_step: Decimal = Decimal(5)
    option_most: Decimal = Decimal(100)
    option_rungs: int = 20
    remainder: RemainderRule = RemainderRule.CANCEL
    wait_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A trading account. initial_capital: rupees deposited at the first start."""

    id: str
    initial_capital: Decimal
    exclusive: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """What the portfolio file says: accounts, instruments, limits. Instruments are keyed by name."""

    accounts: dict[str, Account]
    instruments: dict[str, Instrument]
    limits: Limits = field(default_factory=Limits)
    ladder: LadderRules = field(default_factory=LadderRules)
