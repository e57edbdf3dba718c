"""The shape of the portfolio file, with the range of each value; each row becomes a plain value of the domain."""

import re
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from ratchet.config.fields import Count, Seconds, Section
from ratchet.domain.instruments import (
    Account,
    EquityMode,
    ExpiryRule,
    Form,
    Instrument,
    LadderRules,
    Limits,
    RemainderRule,
)

_LIMITS = Limits()
_LADDER = LadderRules()

Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
Percent = Annotated[Decimal, Field(gt=0, le=100, allow_inf_nan=False)]


def _plain_id(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", value):
        raise ValueError("use 1 to 32 lower-case letters, digits, - and _")
    if value.startswith("load-"):
        raise ValueError("load-... names the generated accounts, choose another one")
    return value


Id = Annotated[str, AfterValidator(_plain_id)]


class AccountRow(Section):
    """One account at the broker."""

    id: Id
    initial_capital: Positive
    """Rupees, deposited at the first start."""
    exclusive: bool = True
    """Nobody else trades it."""
    api_key_env: str | None = None
    """Environment variable with its API key."""
    api_key_file: Path | None = None
    """File with its API key."""

    def account(self) -> Account:
        """Return the domain's value."""
        return Account(id=self.id, initial_capital=self.initial_capital, exclusive=self.exclusive)


class StrategyRow(Section):
    """One strategy."""

    id: Id


class RouteRow(Section):
    """An account and a strategy that signals belong to."""

    account: str
    strategy: str


class WebhookRow(RouteRow):
    """A webhook token by reference, and whom its signals belong to."""

    token_env: str | None = None
    token_file: Path | None = None

    @model_validator(mode="after")
    def _one_reference(self) -> Self:
        if (self.token_env is None) == (self.token_file is None):
            raise ValueError("name token_env or token_file, one of them")
        return self


class LimitsRow(Section):
    """Limits in percent of equity; see the domain's Limits."""

    risk: Percent = _LIMITS.risk
    vol: Percent = _LIMITS.vol
    margin: Percent = _LIMITS.margin
    margin_warn: Percent = _LIMITS.margin_warn
    pyramid_risk: Percent = _LIMITS.pyramid_risk
    pyramid_vol: Percent = _LIMITS.pyramid_vol
    daily_loss: Percent = _LIMITS.daily_loss
    open_incidents: Count = _LIMITS.open_incidents
    divergence_base: Percent = _LIMITS.divergence_base
    divergence_pyramid: Percent = _LIMITS.divergence_pyramid
    risk_increase_base: Positive = _LIMITS.risk_increase_base
    risk_increase_pyramid: Positive = _LIMITS.risk_increase_pyramid
    price_sanity: Percent = _LIMITS.price_sanity
    equity_mode: EquityMode = _LIMITS.equity_mode
    unrealised_weight: Annotated[Decimal, Field(ge=0, le=1)] = _LIMITS.unrealised_weight
    drawdown_ladder: bool = _LIMITS.drawdown_ladder

    @model_validator(mode="after")
    def _warnings_and_pyramids_come_first(self) -> Self:
        for lower, upper in (("margin_warn", "margin"), ("pyramid_risk", "risk"), ("pyramid_vol", "vol")):
            if getattr(self, lower) > getattr(self, upper):
                raise ValueError(f"{lower} must not exceed {upper}")
        return self

    def limits(self) -> Limits:
        """Return the domain's value."""
        return Limits(**dict(self))


class LadderRow(Section):
    """How a limit order is repriced; see the domain's LadderRules."""

    step: Percent = _LADDER.step
    rungs: Annotated[int, Field(ge=1, le=25)] = _LADDER.rungs
    """At most 25: a broker's bound of modifications per order."""
    rung_seconds: Seconds = _LADDER.rung_seconds
    stop: Percent = _LADDER.stop
    band: Percent = _LADDER.band
    option_step: Positive = _LADDER.option_step
    option_most: Positive = _LADDER.option_most
    option_rungs: Annotated[int, Field(ge=1, le=25)] = _LADDER.option_rungs
    remainder: RemainderRule = _LADDER.remainder
    wait_seconds: Seconds = _LADDER.wait_seconds

    def rules(self) -> LadderRules:
        """Return the domain's value."""
        return LadderRules(**dict(self))


class InstrumentRow(Section):
    """One instrument; see the domain's Instrument."""

    name: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,31}$")]
    exchange: Annotated[str, Field(pattern=r"^[A-Z_]{2,12}$")]
    base: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,20}$")]
    form: Form
    lot_size: Count
    tick: Positive
    point_value: Positive
    margin_per_lot: Positive
    initial_risk: Percent
    ongoing_risk: Percent
    initial_vol: Percent
    ongoing_vol: Percent
    initial_atr: Positive
    trailing_atr: Positive
    max_pyramids: Annotated[int, Field(ge=0, le=5)]
    pyramid_spacing: Positive
    roll_days: Count
    tender_days: Annotated[int, Field(ge=0)]
    expiry_rule: ExpiryRule
    bar_minutes: Count
    strike_interval: Positive | None = None
    vol_binds: bool = False

    @model_validator(mode="after")
    def _a_synthetic_has_strikes(self) -> Self:
        if (self.form is Form.SYNTHETIC) != (self.strike_interval is not None):
            raise ValueError("a synthetic needs strike_interval, a future has none")
        if self.ongoing_risk < self.initial_risk or self.ongoing_vol < self.initial_vol:
            raise ValueError("ongoing_risk and ongoing_vol must not be below initial_risk and initial_vol")
        return self

    def instrument(self) -> Instrument:
        """Return the domain's value."""
        return Instrument(**dict(self))


class PortfolioRows(Section):
    """The whole file."""

    accounts: Annotated[list[AccountRow], Field(min_length=1)]
    strategies: Annotated[list[StrategyRow], Field(min_length=1)]
    default: RouteRow
    webhooks: list[WebhookRow] = Field(default_factory=list)
    limits: LimitsRow = Field(default_factory=LimitsRow)
    ladder: LadderRow = Field(default_factory=LadderRow)
    instruments: Annotated[list[InstrumentRow], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> Self:
        accounts = _unique("account", (row.id for row in self.accounts))
        strategies = _unique("strategy", (row.id for row in self.strategies))
        _unique("instrument", (row.name for row in self.instruments))
        for route in (self.default, *self.webhooks):
            if route.account not in accounts or route.strategy not in strategies:
                raise ValueError(f"{route.account}/{route.strategy}: no such account or strategy in this file")
        return self


def _unique(what: str, names: Iterable[str]) -> set[str]:
    counted = Counter(names)
    twice = [name for name, times in counted.items() if times > 1]
    if twice:
        raise ValueError(f"{what} {twice[0]} stands twice: names are unique")
    return set(counted)
