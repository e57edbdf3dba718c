"""docs/domain.md, D-8."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.slices import slices


def test_an_order_at_the_freeze_quantity_is_not_cut() -> None:
    assert slices(900, 30, 900) == (900,)
    assert slices(930, 30, 900) == (900, 30)


def test_slices_are_whole_lots_below_a_freeze_quantity_that_is_not() -> None:
    assert slices(120, 30, 100) == (90, 30)


@pytest.mark.parametrize("freeze", [0, 29, -1])
def test_no_freeze_or_one_smaller_than_a_lot_does_not_cut(freeze: int) -> None:
    assert slices(3000, 30, freeze) == (3000,)


@pytest.mark.parametrize(("quantity", "lot_size"), [(0, 30), (-30, 30), (31, 30), (30, 0)])
def test_only_a_positive_number_of_whole_lots_can_be_cut(quantity: int, lot_size: int) -> None:
    with pytest.raises(ValueError, match="whole lots"):
        slices(quantity, lot_size, 900)


@settings(max_examples=50, deadline=None)
@given(lots=st.integers(1, 500), lot_size=st.integers(1, 3000), freeze=st.integers(0, 20_000))
def test_slices_sum_to_the_order_and_each_is_whole_lots_within_the_freeze(
    lots: int, lot_size: int, freeze: int
) -> None:
    cut = slices(lots * lot_size, lot_size, freeze)
    assert sum(cut) == lots * lot_size
    assert all(part > 0 and part % lot_size == 0 for part in cut)
    if freeze >= lot_size:
        assert all(part <= freeze for part in cut)
        # no more orders than needed
        assert len(cut) == -(-lots // (freeze // lot_size))
