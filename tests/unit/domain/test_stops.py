"""docs/domain.md, section 7, with the worked example 5."""

from dataclasses import replace
from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.positions import Layer, LayerStatus
from ratchet.domain.sizing import stop_for
from ratchet.domain.stops import Moved, on_bar
from tests.unit.domain.builders import GOLD, a_layer


def moved(layer: Layer, bar: Moved) -> Layer:
    return replace(layer, high=bar.high, stop=bar.stop)


def test_example_5_the_stop_trails_and_a_falling_atr_lifts_it() -> None:
    layer = a_layer(GOLD, entry=D(134600), stop=stop_for(None, D(134600), D(820), GOLD), lots=3)
    assert layer.stop == 133780

    first = on_bar(layer, GOLD, D(135900), D(820))
    assert first == Moved(high=D(135900), stop=D(134260), hit=False)

    layer = moved(layer, first)
    second = on_bar(layer, GOLD, D(135100), D(760))
    assert second == Moved(high=D(135900), stop=D(134380), hit=False)

    layer = moved(layer, second)
    assert not on_bar(layer, GOLD, D(134380), D(760)).hit
    assert on_bar(layer, GOLD, D(134379), D(760)).hit


def test_a_bar_can_hit_the_stop_that_it_has_just_raised() -> None:
    layer = a_layer(GOLD, entry=D(134600), stop=D(133780), lots=3)
    bar = on_bar(layer, GOLD, D(134500), D(10))
    assert bar == Moved(high=D(134600), stop=D(134580), hit=True)


@pytest.mark.parametrize("status", [LayerStatus.CLOSING, LayerStatus.CLOSED])
def test_the_stop_of_a_closing_layer_is_frozen_and_not_hit_again(status: LayerStatus) -> None:
    layer = a_layer(GOLD, entry=D(134600), stop=D(133780), lots=3, status=status)
    assert on_bar(layer, GOLD, D(140000), D(10)) == Moved(high=D(134600), stop=D(133780), hit=False)
    assert not on_bar(layer, GOLD, D(1), D(10)).hit


bars = st.lists(st.tuples(st.integers(100_000, 160_000), st.integers(1, 3_000)), min_size=1, max_size=30)


@settings(max_examples=50, deadline=None)
@given(bars=bars)
def test_stops_and_highs_never_fall_and_a_hit_means_a_close_below_the_stop(bars: list[tuple[int, int]]) -> None:
    layer = a_layer(GOLD, entry=D(134600), stop=D(133780), lots=3)
    for close, atr in bars:
        bar = on_bar(layer, GOLD, D(close), D(atr))
        assert bar.stop >= layer.stop
        assert bar.high == max(layer.high, D(close))
        assert bar.hit == (close < bar.stop)
        layer = moved(layer, bar)
