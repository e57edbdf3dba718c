"""Orders in doubt whose time runs out: the end of the broker's day, and exits that a person must know of."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta

import pytest

from ratchet.brokers.base import BrokerUnreachable, SessionTimes
from ratchet.domain.calendar import IST
from ratchet.domain.identity import IntentId
from ratchet.domain.orders import Intent, IntentState
from ratchet.domain.signals import SignalStatus
from ratchet.execution.markets import Markets
from ratchet.execution.pressing import PAGED
from ratchet.execution.resolve import resolve
from ratchet.execution.turns import Again
from ratchet.observability import metrics
from ratchet.persistence import claims, events, intents
from ratchet.persistence.claims import Claim
from ratchet.runtime import Runtime
from tests.contract.persistence.rows import STAMP, add_intent, add_signal
from tests.fakes.broker import MemoryBroker
from tests.integration.execution.conftest import PatientClock
from tests.integration.execution.seeds import GOLD, incidents_of

LONG_AGO = 60.0
"""Seconds since a send: longer than the book may lag, shorter than the drain bound of these tests."""


@pytest.fixture
def patient(rt: Runtime) -> Runtime:
    """A runtime whose orders may stay unknown for hours."""
    slow = rt.settings.broker.model_copy(update={"drain_bound_seconds": 7200.0})
    object.__setattr__(rt, "settings", rt.settings.model_copy(update={"broker": slow}))
    return rt


async def in_doubt(rt: Runtime, *, ago: float, exit_: bool = False, day: date | None = None) -> tuple[Claim, Intent]:
    """Store a signal and its order, sent `ago` seconds ago and unknown since."""
    sent = datetime.now(UTC) - timedelta(seconds=ago)
    side = {"purpose": "exit", "side": "SELL"} if exit_ else {}
    async with rt.db.transaction() as tx:
        await add_signal(tx, SignalStatus.ACCEPTED, fingerprint="x", lease_until=STAMP.replace(year=2020))
        one = await add_intent(
            tx,
            IntentState.UNKNOWN,
            origin="x",
            symbol=GOLD,
            sent_at=sent,
            sender="test",
            broker_day=day or rt.clock.now().astimezone(IST).date(),
            **side,
        )
        intent = await intents.get(tx, IntentId(one))
    (claim,) = await claims.take(rt.db, owner="test", lease_seconds=60, most=1)
    return claim, intent


def session(clock: PatientClock, *, now: str, closes: str) -> SessionTimes:
    """Set the clock, and return a session of that day; times are of the exchange's wall clock."""
    today = date(2027, 1, 11)
    clock.hour = datetime.combine(today, datetime.strptime(now, "%H:%M").time(), IST)
    opens = datetime.combine(today, datetime.min.time(), IST)
    hours, minutes = (int(part) for part in closes.split(":"))
    return SessionTimes(exchange="MCX", opens=opens, closes=opens + timedelta(hours=hours, minutes=minutes))


async def state_of(rt: Runtime, intent: Intent) -> IntentState:
    async with rt.db.single(name="test") as tx:
        return (await intents.get(tx, intent.id)).state


@pytest.mark.parametrize(
    ("now", "closes", "reviewed"),
    [
        ("22:59", "23:30", False),  # more than the margin is left
        ("23:00", "23:30", True),
        ("23:40", "23:30", True),  # the books have not rolled over yet
        ("23:40", "24:00", False),  # it never closes
    ],
)
async def test_an_order_in_doubt_goes_to_a_person_before_the_brokers_day_ends(
    patient: Runtime, broker: MemoryBroker, clock: PatientClock, now: str, closes: str, reviewed: bool
) -> None:
    broker.sessions = [session(clock, now=now, closes=closes)]
    claim, intent = await in_doubt(patient, ago=LONG_AGO)
    turn = await resolve(patient, Markets(patient), claim, intent)
    assert isinstance(turn, Again) is not reviewed
    assert await state_of(patient, intent) is (IntentState.REVIEW if reviewed else IntentState.UNKNOWN)
    assert len(await incidents_of(patient, "unresolved")) == reviewed


async def test_the_books_usual_lag_is_waited_for_even_then(
    patient: Runtime, broker: MemoryBroker, clock: PatientClock
) -> None:
    broker.sessions = [session(clock, now="23:29", closes="23:30")]
    claim, intent = await in_doubt(patient, ago=0.0)
    assert isinstance(await resolve(patient, Markets(patient), claim, intent), Again)
    assert await state_of(patient, intent) is IntentState.UNKNOWN


async def test_without_the_sessions_no_day_ends(patient: Runtime, broker: MemoryBroker, clock: PatientClock) -> None:
    session(clock, now="23:29", closes="23:30")
    broker.trouble = BrokerUnreachable("no route")
    claim, intent = await in_doubt(patient, ago=LONG_AGO)
    assert isinstance(await resolve(patient, Markets(patient), claim, intent), Again)


async def test_the_books_of_another_day_prove_nothing(patient: Runtime, broker: MemoryBroker) -> None:
    yesterday = patient.clock.now().astimezone(IST).date() - timedelta(days=1)
    claim, intent = await in_doubt(patient, ago=LONG_AGO, day=yesterday)
    assert await resolve(patient, Markets(patient), claim, intent) is None
    assert await state_of(patient, intent) is IntentState.REVIEW


async def test_a_person_is_called_once_for_an_exit_that_stays_unknown(
    patient: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    claim, intent = await in_doubt(patient, ago=LONG_AGO, exit_=True)
    before = metrics.EXITS_UNKNOWN._value.get()
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            assert isinstance(await resolve(patient, Markets(patient), claim, intent), Again)
    assert [record.__dict__["event"] for record in caplog.records] == ["exit_unknown"]
    assert metrics.EXITS_UNKNOWN._value.get() == before + 1
    async with patient.db.transaction() as tx:
        (told,) = await events.data_of(tx, events.signal_stream("main", "x"), PAGED)
        assert told["intent"] == str(intent.id)
        assert not await intents.slot_has_incident(tx, intent)


@pytest.mark.parametrize(("ago", "exit_"), [(0.5, True), (LONG_AGO, False)])
async def test_nobody_is_called_for_a_young_doubt_or_an_entry(
    patient: Runtime, caplog: pytest.LogCaptureFixture, ago: float, exit_: bool
) -> None:
    claim, intent = await in_doubt(patient, ago=ago, exit_=exit_)
    with caplog.at_level(logging.ERROR):
        assert isinstance(await resolve(patient, Markets(patient), claim, intent), Again)
    assert caplog.records == []
