"""Entries: what is bought, for how much, and why it is not."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from ratchet.domain.orders import IntentState
from ratchet.domain.positions import LayerStatus
from ratchet.observability import metrics
from tests.integration.execution.whole.desk import Desk, desk
from tests.world import stamp


@pytest.mark.parametrize(
    ("instrument", "lots", "lot_size", "legs"),
    [("BANK_NIFTY", 4, 30, 2), ("GOLD_MINI", 5, 100, 1), ("SILVER_MINI", 2, 5, 1), ("COPPER", 2, 2500, 1)],
)
async def test_a_base_entry_buys_what_its_risk_allows(
    at: Desk, instrument: str, lots: int, lot_size: int, legs: int
) -> None:
    row = await at.world.executed("BASE_ENTRY", instrument)
    assert (row["status"], row["reason"], row["detail"]["lots"]) == ("executed", "filled", lots)
    (layer,) = await at.world.layers()
    assert (layer.status, layer.lots, layer.entry_lots, layer.name) == (LayerStatus.OPEN, lots, lots, "Long_1")
    assert sorted(abs(h.quantity) for h in layer.holdings) == [lots * lot_size] * legs
    assert layer.margin == layer.lots * at.world.rt.instrument(instrument).margin_per_lot
    assert [order["filled"] for order in await at.orders()] == [lots * lot_size] * legs
    await at.check()


async def test_the_call_of_a_synthetic_is_bought_before_the_put_is_sold(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", "BANK_NIFTY")
    first, second = await at.orders()
    assert (first["side"], first["symbol"][-2:]) == ("BUY", "CE")
    assert (second["side"], second["symbol"][-2:]) == ("SELL", "PE")


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({"stop": "100000"}, "blocked", "zero_lots"),
        ({"price": "139000", "stop": "138000"}, "rejected", "below_stop"),
        ({"price": "131500", "stop": "130000"}, "rejected", "divergence"),
        ({"price": "133000", "stop": "132000"}, "rejected", "risk_increase"),
    ],
)
async def test_an_entry_is_refused_by_size_and_price(
    at: Desk, fields: dict[str, str], status: str, reason: str
) -> None:
    row = await at.world.executed("BASE_ENTRY", **fields)
    assert (row["status"], row["reason"]) == (status, reason)
    assert await at.orders() == []
    await at.check()


async def test_a_second_base_entry_is_refused_while_a_layer_is_open(at: Desk) -> None:
    await at.world.executed("BASE_ENTRY", timestamp=stamp(57))
    row = await at.world.executed("BASE_ENTRY", timestamp=stamp(-4))
    assert (row["status"], row["reason"]) == ("rejected", "already_in_position")
    await at.check()


async def test_entries_of_one_account_share_one_purse(at: Desk) -> None:
    """5 lots of gold and 2 of silver leave margin for 5 lots of copper, and risk decides there."""
    for instrument in ("GOLD_MINI", "SILVER_MINI", "BANK_NIFTY"):
        assert (await at.world.executed("BASE_ENTRY", instrument))["status"] == "executed"
    row = await at.world.executed("BASE_ENTRY", "COPPER")
    assert row["detail"]["plan"]["facts"]["limiter"] == "margin"
    purse = await at.world.purse()
    assert purse.used <= purse.margin_limit == Decimal(3_000_000)
    await at.check()


async def test_no_margin_is_no_lot(database_url: str, tmp_path: Path) -> None:
    async with desk(tmp_path, database_url, {"initial_capital: 50_00_000": "initial_capital: 1_50_000"}) as at:
        row = await at.world.executed("BASE_ENTRY")
        assert (row["status"], row["reason"]) == ("blocked", "zero_lots")
        await at.check()


async def test_an_order_above_the_freeze_quantity_goes_in_slices(database_url: str, tmp_path: Path) -> None:
    async with desk(tmp_path, database_url, {"initial_capital: 50_00_000": "initial_capital: 6_00_00_000"}) as at:
        row = await at.world.executed("BASE_ENTRY", "BANK_NIFTY")
        assert (row["status"], row["detail"]["lots"]) == ("executed", 50)
        sides = [(order["side"], order["quantity"]) for order in await at.orders()]
        assert sides == [("BUY", 600), ("BUY", 600), ("BUY", 300), ("SELL", 600), ("SELL", 600), ("SELL", 300)]
        legs = [intent.leg for intent in await at.intents(row["id"])]
        assert legs == ["ce/1", "ce/2", "ce/3", "pe/1", "pe/2", "pe/3"]
        await at.check()
        closed = await at.world.executed("EXIT", "BANK_NIFTY")
        assert closed["reason"] == "closed"
        assert await at.positions() == {}
        await at.check()


async def test_an_entry_outside_the_session_is_refused(at: Desk) -> None:
    await at.close_exchange()
    row = await at.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("rejected", "market_closed")
    await at.check()


async def test_without_a_quote_an_entry_waits_and_expires(at: Desk) -> None:
    await at.fault("error_500_before", endpoint="quotes", unlimited=True)
    row = await at.world.executed("BASE_ENTRY", timestamp=stamp(58.5))
    assert (row["status"], row["reason"]) == ("expired", "stale")
    assert await at.orders() == []
    await at.check()


async def test_two_entries_of_a_lane_go_one_after_the_other(at: Desk) -> None:
    """The second one sees the first one's layer, however close they arrive."""
    await at.fault("slow", endpoint="placeorder", seconds=0.3)
    first = await at.world.send("BASE_ENTRY", timestamp=stamp(3))
    second = await at.world.send("PYRAMID", timestamp=stamp(1))
    assert (await at.world.ended(first.id))["status"] == "executed"
    row = await at.world.ended(second.id)
    assert (row["status"], row["reason"]) == ("blocked", "one_r")
    await at.check()


async def test_a_fresh_entry_finds_its_intent_filled_and_recorded(at: Desk) -> None:
    row = await at.world.executed("BASE_ENTRY")
    (intent,) = await at.intents(row["id"])
    assert intent.state is IntentState.FILLED
    assert intent.reserved == 0
    kinds = [event["kind"] for event in await at.events(f"signal:main:{row['fingerprint']}")]
    assert kinds == ["accepted", "planned", "intent:working", "intent:filled", "intent:filled", "terminal:executed"]


async def test_people_are_warned_when_an_entry_takes_the_margin_in_use_above_its_level(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk(tmp_path, database_url, portfolio={"margin_warn: 50": "margin_warn: 20"}) as at:
        for instrument, warned in (("GOLD_MINI", False), ("BANK_NIFTY", True)):
            row = await at.world.executed("BASE_ENTRY", instrument)
            assert (row["status"], row["reason"]) == ("executed", "filled")
            told = [record for record in caplog.records if record.__dict__.get("event") == "margin_warn"]
            assert len(told) == warned
        assert told[0].getMessage() == "margin in use: 32.1 % of equity"
        assert metrics.MARGIN_WARNINGS.labels("main")._value.get() >= 1
