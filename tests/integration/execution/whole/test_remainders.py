"""The rest of a part-filled entry at the end of its ladder: it is waited for, or tried once more, then cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ratchet.domain.orders import Intent, IntentState
from ratchet.execution import entries
from tests.integration.execution.whole.desk import Desk, desk
from tests.servers.waiting import eventually

LATER = 6.0
"""Seconds after which the rest comes: the desk's quick ladder has ended long before."""
LONG, SHORT = "wait_seconds: 30", "wait_seconds: 2.5"
WAIT = {"remainder: cancel": "remainder: wait"}


@pytest.fixture
async def waits(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk that gives a rest a long time."""
    async with desk(tmp_path, database_url, portfolio=WAIT) as opened:
        yield opened


@pytest.fixture
async def hurries(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk that gives a rest a short time."""
    async with desk(tmp_path, database_url, portfolio={**WAIT, LONG: SHORT}) as opened:
        yield opened


@pytest.fixture
async def tries(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk that tries a rest once more."""
    async with desk(tmp_path, database_url, portfolio={"remainder: cancel": "remainder: reattempt"}) as opened:
        yield opened


async def only(at: Desk, row: dict[str, Any]) -> Intent:
    (intent,) = await at.intents(row["id"])
    return intent


async def test_a_rest_that_is_waited_for_may_still_fill(waits: Desk) -> None:
    await waits.fault("partial_fill", fraction="0.6", rest="after", seconds=LATER)
    row = await waits.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"], row["detail"]["lots"]) == ("executed", "filled", 5)
    intent = await only(waits, row)
    assert (intent.state, intent.rungs) == (IntentState.FILLED, 2)
    await waits.check()


async def test_a_rest_that_does_not_fill_in_its_time_is_cancelled(hurries: Desk) -> None:
    await hurries.fault("partial_fill", fraction="0.6")
    row = await hurries.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"], row["detail"]["lots"]) == ("partially_executed", "part_filled", 3)
    intent = await only(hurries, row)
    assert (intent.state, intent.rungs) == (IntentState.PARTIAL, 2)
    assert intent.rung_at is not None and intent.cancel_at is not None
    assert (intent.cancel_at - intent.rung_at).total_seconds() >= 2.5
    await hurries.check()


async def test_an_entry_without_any_fill_has_no_rest(hurries: Desk) -> None:
    await hurries.fault("never_fill")
    row = await hurries.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"]) == ("failed", "unfilled")
    intent = await only(hurries, row)
    assert intent.rung_at is not None and intent.cancel_at is not None
    assert (intent.cancel_at - intent.rung_at).total_seconds() < 2.5


async def test_a_rest_is_tried_once_more_at_a_worse_price(tries: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "LAST_TRY_SECONDS", 15.0)
    await tries.fault("partial_fill", fraction="0.6", rest="after", seconds=LATER)
    receipt = await tries.world.send("BASE_ENTRY")

    async def at_the_ladders_end() -> Intent | None:
        return next((i for i in await tries.intents(receipt) if i.rungs == 2), None)

    before = await eventually(at_the_ladders_end, within=10)
    row = await tries.world.ended(receipt.id)
    assert (row["status"], row["reason"], row["detail"]["lots"]) == ("executed", "filled", 5)
    intent = await only(tries, row)
    assert intent.rungs == 25
    assert before is not None and before.price is not None and intent.price is not None
    assert before.price < intent.price <= before.price * Decimal("1.001") + intent.tick
    (order,) = await tries.orders()
    assert Decimal(str(order["price"])) == intent.price
    await tries.check()


async def test_a_rest_that_the_last_try_does_not_fill_is_cancelled(
    tries: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "LAST_TRY_SECONDS", 0.5)
    await tries.fault("partial_fill", fraction="0.6")
    row = await tries.world.executed("BASE_ENTRY")
    assert (row["status"], row["reason"], row["detail"]["lots"]) == ("partially_executed", "part_filled", 3)
    intent = await only(tries, row)
    assert (intent.state, intent.rungs) == (IntentState.PARTIAL, 25)
    await tries.check()
