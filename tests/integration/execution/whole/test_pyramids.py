"""Pyramids: each gate that stands before one, and the layer that passes them all."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.integration.execution.whole.desk import Desk
from tests.world import stamp


async def a_base(at: Desk) -> None:
    """Open 5 lots of gold at 134870 with the stop 820 below."""
    row = await at.world.executed("BASE_ENTRY", timestamp=stamp(30))
    assert row["detail"]["lots"] == 5


async def pyramid(at: Desk, price: int, stop: int, layer: int = 2, **fields: str) -> tuple[str, str]:
    """Let a pyramid be asked for at a price at which the market is."""
    await at.quote("GOLDM", price)
    row = await at.world.executed(
        "PYRAMID", position=f"Long_{layer}", price=str(price), stop=str(stop), **{"timestamp": stamp(1), **fields}
    )
    return row["status"], row["reason"]


async def test_a_pyramid_that_passes_every_gate_is_half_its_base(at: Desk) -> None:
    await a_base(at)
    assert await pyramid(at, 138000, 137000) == ("executed", "filled")
    base, added = await at.world.layers()
    assert (base.lots, added.lots, added.number) == (5, 2, 2)
    assert added.trade_id == base.trade_id
    assert added.signal_price == Decimal(138000)
    await at.check()


@pytest.mark.parametrize(
    ("price", "stop", "layer", "fields", "reason"),
    [
        (138000, 137000, 3, {}, "layer_out_of_order"),
        (138000, 137000, 5, {}, "layer_out_of_order"),
        (135690, 135000, 2, {}, "one_r"),
        (135700, 135000, 2, {"atr": "2000"}, "spacing"),
        (136000, 135000, 2, {}, "zero_lots"),
    ],
)
async def test_a_pyramid_that_fails_a_gate_is_blocked(
    at: Desk, price: int, stop: int, layer: int, fields: dict[str, str], reason: str
) -> None:
    await a_base(at)
    assert await pyramid(at, price, stop, layer, **fields) == ("blocked", reason)
    assert len(await at.world.layers()) == 1
    await at.check()


async def test_a_pyramid_without_a_base_is_blocked(at: Desk) -> None:
    assert await pyramid(at, 138000, 137000) == ("blocked", "no_base_position")
    await at.check()


async def test_layers_are_added_in_order_up_to_the_instruments_most(at: Desk) -> None:
    await a_base(at)
    assert await pyramid(at, 138000, 137000, 2, timestamp=stamp(20)) == ("executed", "filled")
    assert await pyramid(at, 143000, 142000, 3, timestamp=stamp(10)) == ("executed", "filled")
    layers = await at.world.layers()
    assert [layer.lots for layer in layers] == [5, 2, 1]
    assert await pyramid(at, 148000, 147000, 4, timestamp=stamp(5)) == ("blocked", "zero_lots")
    await at.check()


async def test_a_pyramids_price_may_lie_half_as_far_off_as_a_bases(at: Desk) -> None:
    await a_base(at)
    await at.quote("GOLDM", 139500)
    row = await at.world.executed("PYRAMID", price="138000", stop="137000", timestamp=stamp(1))
    assert (row["status"], row["reason"]) == ("rejected", "divergence")
    await at.check()


async def test_a_quote_far_from_the_last_one_seen_is_not_traded_on(at: Desk) -> None:
    await a_base(at)
    assert await pyramid(at, 142000, 141000) == ("rejected", "price_sanity")
    await at.check()


async def test_the_next_pyramid_needs_its_distance_from_the_last_ones_signal(at: Desk) -> None:
    await a_base(at)
    assert await pyramid(at, 138000, 137000, timestamp=stamp(20)) == ("executed", "filled")
    assert await pyramid(at, 138400, 137400, 3) == ("blocked", "spacing")
    await at.check()
