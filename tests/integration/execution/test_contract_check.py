"""The expiries that the broker lists against the rules: a person is told of a difference once a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update

from ratchet.brokers.base import BrokerUnreachable, SessionTimes
from ratchet.domain.calendar import IST, TradingCalendar
from ratchet.domain.expiries import listed_expiries
from ratchet.execution import contract_check
from ratchet.execution.contract_check import EXPIRY_MISMATCH
from ratchet.persistence import incidents
from ratchet.persistence.tables import incident
from ratchet.runtime import Runtime
from tests.fakes.broker import MemoryBroker
from tests.integration.execution.seeds import incidents_of

TODAY = datetime.now(IST).date()


@pytest.fixture
def gold(rt: Runtime) -> Runtime:
    """A portfolio of one instrument."""
    only = {"GOLD_MINI": rt.instrument("GOLD_MINI")}
    return replace(rt, portfolio=replace(rt.portfolio, instruments=only))


def lists(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch, rt: Runtime, *, shifted: int = 0) -> None:
    """Let the broker list what the rule says, or something `shifted` days off; its session ends in the evening."""
    instrument = rt.instrument("GOLD_MINI")
    right = listed_expiries(instrument.expiry_rule, TODAY, 3, TradingCalendar(), instrument.exchange)

    async def expiries(exchange: str, base: str, *, options: bool) -> Sequence[date]:
        assert (exchange, base, options) == ("MCX", "GOLDM", False)
        return [day + timedelta(days=shifted) for day in right]

    monkeypatch.setattr(broker, "expiries", expiries)
    closes(broker, hours=23)


def closes(broker: MemoryBroker, *, hours: int) -> None:
    opens = datetime.combine(TODAY, datetime.min.time(), IST)
    broker.sessions = [SessionTimes(exchange="MCX", opens=opens, closes=opens + timedelta(hours=hours))]


async def open_ones(rt: Runtime) -> int:
    return sum(row["closed_at"] is None for row in await incidents_of(rt, EXPIRY_MISMATCH))


async def test_what_agrees_is_not_told(gold: Runtime, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    lists(broker, monkeypatch, gold)
    assert await contract_check.run(gold) == 0
    assert await incidents_of(gold, EXPIRY_MISMATCH) == []


async def test_a_person_is_told_once_a_day_though_the_incident_was_decided(
    gold: Runtime, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists(broker, monkeypatch, gold, shifted=1)
    assert await contract_check.run(gold) == 1
    (told,) = await incidents_of(gold, EXPIRY_MISMATCH)
    assert told["summary"].startswith("GOLD_MINI: ") and "not listed" in told["summary"]
    async with gold.db.transaction() as tx:
        await incidents.close(tx, told["id"], by="a person", decision="the exchange has moved it")
    await contract_check.run(gold)
    assert await open_ones(gold) == 0
    async with gold.db.transaction() as tx:  # as if it had been yesterday
        await tx.count(update(incident).values(opened_at=datetime.now(UTC) - timedelta(days=1)))
    await contract_check.run(gold)
    assert await open_ones(gold) == 1


async def test_it_ends_by_itself_when_both_agree_again(
    gold: Runtime, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists(broker, monkeypatch, gold, shifted=1)
    await contract_check.run(gold)
    lists(broker, monkeypatch, gold)
    await contract_check.run(gold)
    assert await open_ones(gold) == 0


async def test_a_market_that_never_closes_and_a_day_without_trading_have_nothing_to_compare(
    gold: Runtime, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists(broker, monkeypatch, gold, shifted=1)
    closes(broker, hours=24)
    assert await contract_check.run(gold) == 0
    broker.sessions = []
    assert await contract_check.run(gold) == 0


async def test_a_broker_that_does_not_answer_proves_nothing(
    gold: Runtime, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists(broker, monkeypatch, gold, shifted=1)
    await contract_check.run(gold)
    broker.trouble = BrokerUnreachable("down")
    assert await contract_check.run(gold) == 0
    assert await open_ones(gold) == 1
