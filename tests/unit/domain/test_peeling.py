"""docs/domain.md, section 5.3, with the worked example 7."""

from dataclasses import replace
from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.equity import layer_risk
from ratchet.domain.peeling import peel_lots
from ratchet.domain.positions import LayerStatus
from tests.unit.domain.builders import COPPER, a_layer

LAYER = a_layer(COPPER, entry=D(905), stop=D("893.5"), lots=6, atr=D("3.1"))
VOLATILE = replace(COPPER, vol_binds=True)


def test_example_7_three_of_six_copper_lots_are_peeled() -> None:
    assert peel_lots(LAYER, COPPER, D(9800000), D("3.1")) == 3
    assert peel_lots(LAYER, VOLATILE, D(9800000), D("3.1")) == 3


def test_volatility_alone_peels_only_where_it_binds() -> None:
    safe = replace(LAYER, stop=D(905))
    assert peel_lots(safe, COPPER, D(9800000), D("3.1")) == 0
    assert peel_lots(safe, VOLATILE, D(9800000), D("3.1")) == 3


def test_exactly_at_the_limit_nothing_is_peeled() -> None:
    assert peel_lots(LAYER, COPPER, D(17250000), D("3.1")) == 0  # 1 % is the layer's 1,72,500
    assert peel_lots(LAYER, COPPER, D(17249999), D("3.1")) == 1


def test_below_the_limit_and_without_risk_nothing_is_peeled() -> None:
    assert peel_lots(LAYER, COPPER, D(99000000), D("3.1")) == 0
    assert peel_lots(replace(LAYER, stop=D(905)), COPPER, D(-1), D("3.1")) == 0


def test_never_more_is_peeled_than_the_layer_has() -> None:
    assert peel_lots(LAYER, COPPER, D(0), D("3.1")) == 6
    assert peel_lots(LAYER, COPPER, D(-9800000), D("3.1")) == 6


@pytest.mark.parametrize("status", [LayerStatus.OPENING, LayerStatus.CLOSING, LayerStatus.CLOSED])
def test_only_an_open_layer_is_peeled(status: LayerStatus) -> None:
    assert peel_lots(replace(LAYER, status=status), COPPER, D(9800000), D("3.1")) == 0


@settings(max_examples=50, deadline=None)
@given(equity=st.integers(1, 10**8), lots=st.integers(1, 50), twentieths=st.integers(1, 600))
def test_after_peeling_the_limit_holds_and_one_lot_fewer_would_not_do(equity: int, lots: int, twentieths: int) -> None:
    layer = a_layer(COPPER, entry=D(905), stop=D(905) - D(twentieths) / 20, lots=lots)
    peeled = peel_lots(layer, COPPER, D(equity), D(1))
    limit = Fraction(equity) * Fraction(COPPER.ongoing_risk) / 100
    assert Fraction(layer_risk(replace(layer, lots=lots - peeled), COPPER)) <= limit
    if peeled:
        assert Fraction(layer_risk(replace(layer, lots=lots - peeled + 1), COPPER)) > limit
