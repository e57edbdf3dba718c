"""A layer near its expiry moves into the next contract, whole, once, whoever drives it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from ratchet.domain.positions import Layer, LayerStatus
from ratchet.execution import rollover
from ratchet.persistence import lanes, layers
from ratchet.runtime import Runtime
from tests.world import World, world


def due_at_once(rt: Runtime, instrument: str) -> Runtime:
    """Return a runtime by whose rules the nearest contract has to be left."""
    instruments = dict(rt.portfolio.instruments)
    instruments[instrument] = replace(instruments[instrument], roll_days=60)
    return replace(rt, portfolio=replace(rt.portfolio, instruments=instruments))


async def books_agree(w: World) -> None:
    """The broker's positions are our holdings, and margins are the sums of their parts."""
    theirs = await w.rt.broker(w.account).positions()
    ours: dict[tuple[str, str], int] = {}
    for layer in await w.layers():
        for holding in layer.holdings:
            if holding.quantity:
                key = (holding.exchange, holding.symbol)
                ours[key] = ours.get(key, 0) + holding.quantity
    assert ours == {key: quantity for key, quantity in theirs.items() if quantity}
    purse = await w.purse()
    assert purse.reserved == 0
    assert purse.used == sum((layer.margin for layer in await w.layers()), Decimal(0))


async def hold_of(w: World, instrument: str) -> str:
    async with w.rt.db.transaction(name="test") as tx:
        return (await lanes.lock(tx, w.account, instrument)).hold


@pytest.mark.parametrize("instrument", ["GOLD_MINI", "BANK_NIFTY"])
async def test_a_due_layer_is_rolled_once_and_keeps_its_distances(
    tmp_path: Path, database_url: str, instrument: str
) -> None:
    async with world(tmp_path, database_url) as w:
        await w.executed("BASE_ENTRY", instrument)
        before = (await w.layers())[0]
        rt = due_at_once(w.rt, instrument)

        first = await rollover.run(rt)
        second = await rollover.run(rt)

        after = (await w.layers())[0]
        assert (first.begun, first.rolled, second.begun, second.rolled) == (1, 1, 0, 0)
        assert after.id == before.id and after.status is LayerStatus.OPEN and after.lots == before.lots
        assert {h.symbol for h in after.holdings if h.quantity}.isdisjoint(h.symbol for h in before.holdings)
        assert after.entry_price - after.initial_stop == before.entry_price - before.initial_stop
        assert after.high - after.stop == before.high - before.stop
        assert await hold_of(w, instrument) == "none"
        await books_agree(w)


async def test_a_rolled_layer_is_closed_in_its_new_contract(tmp_path: Path, sqlite_url: str) -> None:
    async with world(tmp_path, sqlite_url) as w:
        await w.executed("BASE_ENTRY", "GOLD_MINI")
        await rollover.run(due_at_once(w.rt, "GOLD_MINI"))

        row = await w.executed("EXIT", "GOLD_MINI")

        assert (row["status"], row["reason"]) == ("executed", "closed")
        assert await w.layers() == []
        await books_agree(w)


async def test_nothing_is_rolled_before_it_is_due(tmp_path: Path, sqlite_url: str) -> None:
    async with world(tmp_path, sqlite_url) as w:
        await w.executed("BASE_ENTRY", "GOLD_MINI")

        done = await rollover.run(w.rt)

        assert (done.begun, done.rolled, done.failed, done.waiting) == (0, 0, 0, 0)


async def test_a_roll_whose_old_contract_cannot_be_closed_fails_and_leaves_the_layer(
    tmp_path: Path, sqlite_url: str
) -> None:
    async with world(tmp_path, sqlite_url) as w:
        await w.executed("BASE_ENTRY", "GOLD_MINI")
        before = (await w.layers())[0]
        await w.fault({"endpoint": "placeorder", "fault": "refuse_4xx", "times": 3, "match": {"side": "SELL"}})

        done = await rollover.run(due_at_once(w.rt, "GOLD_MINI"))

        after: Layer = (await w.layers())[0]
        assert done.failed == 1
        assert {h.symbol: h.quantity for h in after.holdings} == {h.symbol: h.quantity for h in before.holdings}
        assert await hold_of(w, "GOLD_MINI") == "none"
        async with w.rt.db.single(name="test") as tx:
            assert (await layers.get(tx, after.id)).status is LayerStatus.OPEN
        await books_agree(w)


async def test_an_exit_takes_over_a_roll_that_has_not_begun_to_open(tmp_path: Path, sqlite_url: str) -> None:
    async with world(tmp_path, sqlite_url) as w:
        await w.executed("BASE_ENTRY", "GOLD_MINI")
        rt = due_at_once(w.rt, "GOLD_MINI")
        await w.fault({"endpoint": "placeorder", "fault": "refuse_4xx", "times": 3, "match": {"side": "SELL"}})
        await rollover.run(rt)

        row = await w.executed("EXIT", "GOLD_MINI")
        done = await rollover.run(rt)

        assert row["reason"] == "closed"
        assert (done.begun, done.rolled, done.waiting) == (0, 0, 1)
        assert await w.layers() == []
        await books_agree(w)


class Interrupted(Exception):
    """The leader lost its right to act."""


@pytest.mark.parametrize("steps", [3, 5, 7])
async def test_a_layer_in_the_middle_of_its_roll_begins_no_second_one(
    tmp_path: Path, sqlite_url: str, steps: int
) -> None:
    """With one leg closed it holds something else than its roll set out to leave."""
    left = steps

    def may_act() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Interrupted

    async with world(tmp_path, sqlite_url) as w:
        await w.executed("BASE_ENTRY", "BANK_NIFTY")
        rt = due_at_once(w.rt, "BANK_NIFTY")
        with pytest.raises(Interrupted):
            await rollover.run(rt, may_act=may_act)

        done = await rollover.run(rt)

        assert (done.begun, done.rolled) == (0, 1)
        await books_agree(w)
