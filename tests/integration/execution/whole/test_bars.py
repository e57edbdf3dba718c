"""Bars move stops up, hit them, and peel what has outgrown its share; scouts refresh the view."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import select

from ratchet.domain.positions import Layer, LayerStatus
from ratchet.persistence import market, money
from ratchet.persistence.tables import signal_log
from tests.integration.execution.whole.desk import Desk
from tests.integration.execution.whole.test_accepting import EOD
from tests.servers.waiting import eventually
from tests.world import ACCOUNT, PATIENCE, stamp


async def base(at: Desk) -> Layer:
    """Open 5 lots of gold at 134870, stop 134050, and return the layer."""
    await at.world.executed("BASE_ENTRY", timestamp=stamp(50))
    return await layer_of(at)


async def layer_of(at: Desk) -> Layer:
    (layer,) = await at.world.layers()
    return layer


async def bar(at: Desk, price: int, ago: float, atr: int = 820) -> str:
    """Close a bar, and return how its signal ended."""
    row = await at.world.executed("MARKET_DATA", price=str(price), atr=str(atr), timestamp=stamp(ago))
    return str(row["reason"])


async def test_a_bar_lifts_the_stop_and_never_lowers_it(at: Desk) -> None:
    assert (await base(at)).stop == Decimal(134050)
    assert await bar(at, 136900, 30) == "bar_applied"
    assert (await layer_of(at)).stop == Decimal(136900 - 2 * 820)
    assert await bar(at, 135900, 20) == "bar_applied"
    moved = await layer_of(at)
    assert (moved.stop, moved.high) == (Decimal(135260), Decimal(136900))
    await at.check()


async def test_a_falling_atr_lifts_the_stop_below_a_falling_price(at: Desk) -> None:
    await base(at)
    await bar(at, 136900, 30)
    await bar(at, 136000, 20, atr=600)
    assert (await layer_of(at)).stop == Decimal(136900 - 1200)


async def test_an_older_bar_changes_nothing(at: Desk) -> None:
    await base(at)
    await bar(at, 135500, 10)
    before = await layer_of(at)
    assert await bar(at, 139000, 20) == "stale_bar"
    assert await layer_of(at) == before


async def test_a_bar_that_closed_before_the_entry_does_not_touch_its_layer(at: Desk) -> None:
    before = await base(at)
    assert await bar(at, 133000, 70) == "bar_applied"
    assert await layer_of(at) == before
    await at.check()


async def test_a_close_exactly_at_the_stop_is_no_hit_and_one_below_is(at: Desk) -> None:
    await base(at)
    await bar(at, 134050, 30)
    assert (await layer_of(at)).status is LayerStatus.OPEN
    await bar(at, 134049, 20)

    async def sold() -> bool:
        return await at.world.layers() == []

    await eventually(sold, within=PATIENCE)
    async with at.world.rt.db.single(name="test") as tx:
        (row,) = await tx.all(select(signal_log).where(signal_log.c.kind == "EXIT"))
    assert (row["source"], row["payload"]["reason"], row["layer"]) == ("executor", "PM_STOP_HIT", "Long_1")
    await at.world.ended(row["id"])
    assert await at.positions() == {}
    await at.check()


async def test_only_the_layers_whose_stop_was_hit_are_closed(at: Desk) -> None:
    await base(at)
    await at.quote("GOLDM", 138000)
    row = await at.world.executed("PYRAMID", price="138000", stop="137000", timestamp=stamp(40))
    assert row["status"] == "executed"
    await bar(at, 136900, 20, atr=2000)

    async def one_left() -> bool:
        return [layer.number for layer in await at.world.layers()] == [1]

    await eventually(one_left, within=PATIENCE)
    await at.check()


async def withdraw(at: Desk, rupees: int) -> None:
    """Take money out of the account, so that what is open weighs more."""
    async with at.world.rt.db.transaction(name="test") as tx:
        purse = await money.lock(tx, ACCOUNT)
        await money.save(tx, await money.book(tx, purse, kind="WITHDRAW", amount=Decimal(-rupees), ref="test"))


async def test_a_layer_that_has_outgrown_its_risk_is_peeled(at: Desk) -> None:
    """5 lots risk 41,000; 1 percent of what is left are 30,000: 2 lots of 8,200 each are too many."""
    await base(at)
    await withdraw(at, 2_000_000)
    assert await bar(at, 134870, 20) == "bar_applied"
    peeled = await layer_of(at)
    assert (peeled.lots, peeled.entry_lots, peeled.status) == (3, 5, LayerStatus.OPEN)
    assert peeled.margin == 3 * 105_000
    assert await bar(at, 134870, 10) == "bar_applied"
    assert (await layer_of(at)).lots == 3
    await at.check()


async def test_both_legs_of_a_synthetic_are_peeled_alike(at: Desk) -> None:
    """4 lots risk 43,200: 2 lots of 10,800 each are too many."""
    await at.world.executed("BASE_ENTRY", "BANK_NIFTY", timestamp=stamp(30))
    await withdraw(at, 2_000_000)
    row = await at.world.executed("MARKET_DATA", "BANK_NIFTY", timestamp=stamp(10))
    assert row["reason"] == "bar_applied"
    peeled = await layer_of(at)
    assert sorted(h.quantity for h in peeled.holdings) == [-60, 60]
    assert (peeled.lots, int(peeled.margin)) == (2, 2 * 270_000)
    await at.check()


async def test_a_scout_only_refreshes_the_view(at: Desk) -> None:
    row = await at.world.executed("EOD_MONITOR", timestamp=stamp(10), **EOD)
    assert row["reason"] == "view_refreshed"
    await at.world.executed("EOD_MONITOR", timestamp=stamp(20), price="1", **EOD)
    async with at.world.rt.db.single(name="test") as tx:
        seen = await market.read(tx, ACCOUNT, "GOLD_MINI")
    assert seen.view is not None and seen.view["price"] == "134870"
    assert await at.orders() == []
