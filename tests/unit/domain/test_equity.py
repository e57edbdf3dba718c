"""docs/domain.md, section 6.1 and 6.2, with the worked examples 6 and 8."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from ratchet.domain.equity import (
    Equity,
    available_margin,
    drawdown_factor,
    layer_risk,
    layer_vol,
    percent,
    unrealised,
)
from ratchet.domain.instruments import EquityMode, Limits
from tests.unit.domain.builders import BANK_NIFTY, COPPER, GOLD, INSTRUMENTS, a_layer

HALF = D("0.5")


@pytest.mark.parametrize(
    ("result", "open_", "blended"), [(D(216000), D(7556000), D(7448000)), (D(-216000), D(7124000), D(7232000))]
)
def test_example_6_half_of_the_unrealised_result_counts(result: D, open_: D, blended: D) -> None:
    equity = Equity(closed=D(7340000), unrealised=result)
    assert (equity.open, equity.blended(HALF)) == (open_, blended)


def test_sizing_uses_the_equity_that_the_limits_name() -> None:
    equity = Equity(closed=D(7340000), unrealised=D(216000))
    assert equity.sizing(Limits()) == 7448000
    assert equity.sizing(Limits(equity_mode=EquityMode.CLOSED)) == 7340000
    assert equity.sizing(Limits(unrealised_weight=D(1))) == equity.open


def test_example_8_a_synthetic_earns_the_move_of_its_exposure_and_so_do_its_legs() -> None:
    layer = a_layer(BANK_NIFTY, entry=D(58000) + D("612.40") - D("374.15"), stop=D(57880), lots=5)
    assert layer.entry_price == D("58238.25")
    exit_price = D(58000) + D("940.00") - D("221.35")
    earned = unrealised([layer], lambda _: exit_price, INSTRUMENTS)
    legs = ((D("940.00") - D("612.40")) + (D("374.15") - D("221.35"))) * 5 * 30
    assert earned == legs == 72060


def test_unrealised_sums_every_layer_at_its_own_price() -> None:
    gold = a_layer(GOLD, entry=D(134600), stop=D(133780), lots=3)
    copper = a_layer(COPPER, entry=D(905), stop=D("893.5"), lots=2)
    prices = {"GOLD_MINI": D(134700), "COPPER": D("904.5")}
    assert unrealised([gold, copper], lambda layer: prices[layer.instrument], INSTRUMENTS) == 3000 - 2500
    assert unrealised([], lambda _: D(1), INSTRUMENTS) == 0


def test_a_layer_of_an_unknown_instrument_is_an_error_and_not_a_guess() -> None:
    layer = replace(a_layer(GOLD, entry=D(10), stop=D(9), lots=1), instrument="NICKEL")
    with pytest.raises(KeyError):
        unrealised([layer], lambda _: D(11), INSTRUMENTS)


def test_margin_in_use_is_taken_off_and_the_rest_is_never_negative() -> None:
    assert available_margin(D(7340000), D(810000), Limits()) == 3594000
    assert available_margin(D(1000000), D(600000), Limits()) == 0
    assert available_margin(D(1000000), D(700000), Limits()) == 0


def test_risk_ends_where_the_stop_passes_the_entry() -> None:
    layer = a_layer(COPPER, entry=D(905), stop=D("893.5"), lots=6, atr=D("3.1"))
    assert (layer_risk(layer, COPPER), layer_vol(layer, COPPER)) == (D(172500), D(46500))
    assert layer_risk(replace(layer, stop=D(905)), COPPER) == 0
    assert layer_risk(replace(layer, stop=D(910)), COPPER) == 0


def test_percent_of_no_equity_is_infinite() -> None:
    assert percent(D(172500), D(9800000)).quantize(D("0.01")) == D("1.76")
    assert percent(D(1), D(0)) == D("Infinity")
    assert percent(D(0), D(-5)) == 0


@pytest.mark.parametrize(
    ("equity", "base", "pyramid"),
    [
        (100, "1", "1"),
        (95, "1", "1"),
        (94, "0.75", "1"),
        (90, "0.75", "1"),
        (89, "0", "1"),
        (85, "0", "1"),
        (84, "0", "0"),
    ],
)
def test_the_drawdown_ladder_cuts_then_stops_base_entries_then_pyramids(equity: int, base: str, pyramid: str) -> None:
    on = Limits(drawdown_ladder=True)
    assert drawdown_factor(equity=D(equity), peak=D(100), pyramid=False, limits=on) == D(base)
    assert drawdown_factor(equity=D(equity), peak=D(100), pyramid=True, limits=on) == D(pyramid)
    assert drawdown_factor(equity=D(equity), peak=D(100), pyramid=False, limits=Limits()) == 1
