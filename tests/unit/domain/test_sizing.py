"""docs/domain.md, section 5, with the worked examples 1, 2, 3, 10 and 15."""

from dataclasses import replace
from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.equity import available_margin
from ratchet.domain.instruments import Instrument, Limits
from ratchet.domain.positions import Layer
from ratchet.domain.sizing import Sized, resize, size_base, size_pyramid, stop_for
from tests.unit.domain.builders import BANK_NIFTY, COPPER, GOLD, INSTRUMENTS, SILVER, a_layer

PLENTY = D(10) ** 12


def base(
    equity: D,
    price: D,
    stop: D,
    er: D,
    margin: D = PLENTY,
    instrument: Instrument = BANK_NIFTY,
    atr: D = D("360.4"),
) -> Sized:
    return size_base(
        equity=equity, price=price, stop=stop, er=er, atr=atr, available_margin=margin, instrument=instrument
    )


def silver_pyramid(*, margin: D = PLENTY, profit: D = D(196000), number: int = 2, stop: D = D(242100)) -> Sized:
    layer = a_layer(SILVER, entry=D(241300), stop=D(237900), lots=7)
    return size_pyramid(
        number=number,
        price=D(246900),
        stop=stop,
        available_margin=margin,
        base=layer,
        unrealised=profit,
        instrument=SILVER,
    )


def test_example_1_a_bank_nifty_base_is_limited_by_risk() -> None:
    margin = available_margin(D(7340000), D(810000), Limits())
    assert margin == 3594000
    sized = base(D(7340000), D(58240), D(57880), D("0.83"), margin)
    assert (sized.lots, sized.limiter) == (5, "risk")
    assert (sized.lot_r, sized.lot_m) == (D("5.6409"), D("13.3111"))


def test_example_2_a_copper_base_is_limited_by_margin() -> None:
    margin = available_margin(D(3100000), D(1500000), Limits())
    assert margin == 360000
    sized = base(D(3100000), D("912.40"), D("905.15"), D("0.91"), margin, COPPER)
    assert (sized.lots, sized.limiter, sized.lot_r, sized.lot_m) == (1, "margin", D("1.5564"), D("1.2"))


def test_example_3_a_silver_pyramid_is_limited_by_half_of_the_profit_above_the_base_risk() -> None:
    sized = silver_pyramid()
    assert (sized.lots, sized.limiter) == (1, "risk_budget")
    assert sized.lot_g == D("3.5")


def test_example_10_sizing_again_at_the_brokers_price_takes_one_lot_less() -> None:
    again = base(D(7340000), D(58310), D(57880), D("0.83"), D(3594000))
    assert again.lot_r == D("4.7226")
    assert resize(5, again) == 4


def test_sizing_again_never_gives_more_than_the_original() -> None:
    assert resize(5, base(D(7340000), D(58100), D(57880), D("0.83"))) == 5


def test_example_15_an_exact_whole_quotient_keeps_its_last_lot() -> None:
    sized = base(D(9000000), D(58350), D(58000), D("0.7"))
    assert (sized.lots, sized.lot_r) == (6, D(6))


@pytest.mark.parametrize("stop", [D(58240), D(58241)])
def test_a_stop_that_is_not_below_the_price_buys_nothing(stop: D) -> None:
    sized = base(D(7340000), D(58240), stop, D("0.83"))
    assert (sized.lots, sized.limiter, sized.lot_r) == (0, "invalid_risk", None)
    assert silver_pyramid(stop=D(246900)).limiter == "invalid_risk"
    assert silver_pyramid(stop=D(246900)).lots == 0


def test_equal_quotients_name_risk_before_margin() -> None:
    # 90,000 x 0.7 / 10,500 = 6 lots by risk, and 6 lots of margin
    assert base(D(9000000), D(58350), D(58000), D("0.7"), D(270000) * 6).limiter == "risk"


def test_volatility_is_reported_but_binds_only_where_switched_on() -> None:
    loose = base(D(7340000), D(58240), D(57880), D("0.83"))
    assert (loose.lots, loose.lot_v) == (5, D("3.3944"))  # 36,700 / (360.4 x 30)
    tight = base(D(7340000), D(58240), D(57880), D("0.83"), instrument=replace(BANK_NIFTY, vol_binds=True))
    assert (tight.lots, tight.limiter) == (3, "volatility")


def test_without_an_atr_the_volatility_budget_is_nothing() -> None:
    sized = base(D(7340000), D(58240), D(57880), D("0.83"), instrument=replace(BANK_NIFTY, vol_binds=True), atr=D(0))
    assert (sized.lots, sized.limiter) == (0, "volatility")


def test_negative_equity_buys_nothing() -> None:
    assert base(D(-1), D(58240), D(57880), D("0.83")).lots == 0


@pytest.mark.parametrize(("number", "lots"), [(2, 6), (3, 3), (4, 1), (5, 0), (6, 0)])
def test_pyramids_are_half_powers_of_the_base(number: int, lots: int) -> None:
    layer = a_layer(SILVER, entry=D(241300), stop=D(237900), lots=12)
    sized = size_pyramid(
        number=number,
        price=D(246900),
        stop=D(242100),
        available_margin=PLENTY,
        base=layer,
        unrealised=PLENTY,
        instrument=SILVER,
    )
    assert (sized.lots, sized.limiter) == (lots, "geometric")


def test_a_peeled_base_still_counts_with_the_lots_of_its_entry() -> None:
    layer = replace(a_layer(SILVER, entry=D(241300), stop=D(237900), lots=12), lots=2)
    sized = size_pyramid(
        number=2,
        price=D(246900),
        stop=D(242100),
        available_margin=PLENTY,
        base=layer,
        unrealised=PLENTY,
        instrument=SILVER,
    )
    assert sized.lots == 6


def test_profit_that_only_covers_the_base_risk_buys_nothing() -> None:
    sized = silver_pyramid(profit=D(119000))
    assert (sized.lots, sized.limiter) == (0, "risk_budget")


def test_a_pyramid_names_margin_first_among_equals() -> None:
    assert silver_pyramid(margin=D(385000)).limiter == "margin"  # one lot by margin, one by the risk budget


@pytest.mark.parametrize("number", [1, 7])
def test_only_layers_two_to_six_are_pyramids(number: int) -> None:
    with pytest.raises(ValueError, match=f"Long_{number}"):
        silver_pyramid(number=number)


def test_the_signals_stop_is_kept_and_a_missing_one_is_set_by_atr() -> None:
    assert stop_for(D(57880), D(58240), D(360), BANK_NIFTY) == 57880
    assert stop_for(None, D(134600), D(820), GOLD) == 133780
    assert stop_for(None, D(58240), D(360), BANK_NIFTY) == 57700


amounts = st.integers(min_value=0, max_value=10**9).map(D)
ticks = st.integers(min_value=1, max_value=40_000).map(lambda n: D(n) / 20)
ratios = st.integers(min_value=0, max_value=10_000).map(lambda n: D(n) / 10_000)
instruments = st.sampled_from(sorted(INSTRUMENTS)).map(lambda name: INSTRUMENTS[name])


@settings(max_examples=50, deadline=None)
@given(equity=amounts, more=amounts, distance=ticks, wider=ticks, er=ratios, margin=amounts, instrument=instruments)
def test_more_equity_never_buys_less_and_a_wider_stop_never_more(
    equity: D, more: D, distance: D, wider: D, er: D, margin: D, instrument: Instrument
) -> None:
    price = D(60_000)
    lots = base(equity, price, price - distance, er, margin, instrument).lots
    assert base(equity + more, price, price - distance, er, margin, instrument).lots >= lots
    assert base(equity, price, price - distance - wider, er, margin, instrument).lots <= lots
    assert base(equity, price, price - distance, er, margin + more, instrument).lots >= lots


@settings(max_examples=50, deadline=None)
@given(equity=amounts, distance=ticks, er=ratios, instrument=instruments)
def test_the_loss_at_the_stop_stays_within_the_budget_and_one_lot_more_would_not(
    equity: D, distance: D, er: D, instrument: Instrument
) -> None:
    price = D(60_000)
    lots = base(equity, price, price - distance, er, PLENTY, instrument).lots
    budget = Fraction(equity) * Fraction(instrument.initial_risk) / 100 * Fraction(er)
    one = Fraction(distance) * Fraction(instrument.point_value)
    if lots < PLENTY // instrument.margin_per_lot:
        assert lots * one <= budget < (lots + 1) * one


@settings(max_examples=50, deadline=None)
@given(lots=st.integers(1, 60), profit=amounts, margin=amounts, number=st.integers(2, 5), distance=ticks)
def test_no_pyramid_is_larger_than_the_one_before_it(lots: int, profit: D, margin: D, number: int, distance: D) -> None:
    layer: Layer = a_layer(GOLD, entry=D(134600), stop=D(133780), lots=lots)

    def sized(n: int) -> int:
        return size_pyramid(
            number=n,
            price=D(136000),
            stop=D(136000) - distance,
            available_margin=margin,
            base=layer,
            unrealised=profit,
            instrument=GOLD,
        ).lots

    assert 0 <= sized(number + 1) <= sized(number) <= lots
