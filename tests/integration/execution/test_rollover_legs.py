"""A roll that fails at any of its legs leaves books that agree, says what is held, and is taken up again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from ratchet.domain.positions import LayerStatus
from ratchet.execution import rollover
from ratchet.execution.roll_plan import PAUSED
from ratchet.failpoints import Failpoint
from ratchet.persistence import incidents
from ratchet.persistence.tables import incident
from ratchet.persistence.tables import rollover as rolls
from tests.integration.execution.test_rollover import books_agree, due_at_once, hold_of
from tests.world import World, world

REFUSED = {"endpoint": "placeorder", "fault": "refuse_4xx", "times": 3, "text": "RMS: not today"}
"""As often as a leg is tried in one round."""

LEGS = [
    ("GOLD_MINI", 1, "SELL", {"old FUT"}),
    ("GOLD_MINI", 2, "BUY", set[str]()),
    ("BANK_NIFTY", 1, "BUY", {"old CE", "old PE"}),
    ("BANK_NIFTY", 2, "SELL", {"old CE"}),
    ("BANK_NIFTY", 3, "BUY", set[str]()),
    ("BANK_NIFTY", 4, "SELL", set[str]()),  # the new call is sold again
]
"""Instrument, number of the leg, its side, and what is held after its failure."""


async def held(w: World, before: set[str]) -> set[str]:
    """Return which legs are held, of the old contract or a new one."""
    (layer,) = await w.layers()
    return {f"{'old' if h.symbol in before else 'new'} {_right(h.symbol)}" for h in layer.holdings if h.quantity}


def _right(symbol: str) -> str:
    return symbol[-3:] if symbol.endswith("FUT") else symbol[-2:]


async def state_of(w: World) -> tuple[str, dict[str, object]]:
    async with w.rt.db.single(name="test") as tx:
        (row,) = await tx.all(select(rolls.c.state, rolls.c.detail))
    return row["state"], row["detail"]


def refused_from(w: World, monkeypatch: pytest.MonkeyPatch, leg: int, side: str) -> None:
    """Let the broker refuse a leg's orders: as many as one round tries."""
    passed = 0

    async def before_a_step(point: Failpoint) -> None:
        nonlocal passed
        passed += 1
        if passed == leg:
            await w.fault({**REFUSED, "match": {"side": side}})

    monkeypatch.setattr(rollover, "reach", before_a_step)


@pytest.mark.parametrize(("instrument", "leg", "side", "left"), LEGS)
async def test_a_roll_that_fails_at_a_leg_is_finished_by_its_next_round(
    instrument: str,
    leg: int,
    side: str,
    left: set[str],
    tmp_path: Path,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world(tmp_path, sqlite_url) as w:
        await w.executed("BASE_ENTRY", instrument)
        (layer,) = await w.layers()
        before = {h.symbol for h in layer.holdings}
        refused_from(w, monkeypatch, leg, side)
        rt = due_at_once(w.rt, instrument)

        assert (await rollover.run(rt)).failed == 1

        state, detail = await state_of(w)
        assert (state, detail["flat"]) == ("failed", not left)
        assert await held(w, before) == left
        assert await hold_of(w, instrument) == "none", "an exit may close what is held"
        await books_agree(w)

        assert (await rollover.run(rt)).failed == 1, "the next round begins a minute later"
        monkeypatch.setattr(rollover, "RETRY_AFTER", timedelta(0))
        assert (await rollover.run(rt)).rolled == 1
        (after,) = await w.layers()
        assert after.status is LayerStatus.OPEN and after.lots == layer.lots
        assert await held(w, before) == ({"new FUT"} if instrument == "GOLD_MINI" else {"new CE", "new PE"})
        await books_agree(w)


async def test_after_the_last_round_a_person_is_called_once_and_lets_the_rolls_go_on(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollover, "RETRY_AFTER", timedelta(0))
    async with world(tmp_path, sqlite_url) as w:
        await w.executed("BASE_ENTRY", "GOLD_MINI")
        rt = due_at_once(w.rt, "GOLD_MINI")
        await w.fault({**REFUSED, "times": 3 * rollover.ROUNDS, "match": {"side": "SELL"}})
        for _ in range(rollover.ROUNDS + 3):
            assert (await rollover.run(rt)).failed == 1
        told = await paused(w)
        assert len(told) == 1
        async with w.rt.db.transaction(name="test") as tx:
            await incidents.close(tx, told[0], by="a person", decision="go on")

        assert (await rollover.run(rt)).rolled == 1

        assert await paused(w) == told
        await books_agree(w)


async def paused(w: World) -> list[UUID]:
    async with w.rt.db.single(name="test") as tx:
        return [row["id"] for row in await tx.all(select(incident.c.id).where(incident.c.kind == PAUSED))]
