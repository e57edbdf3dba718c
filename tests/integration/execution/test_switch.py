"""The kill switch: what holds afterwards, what was on its way, and what a lost commit is told as."""

from collections.abc import Iterator

import pytest

from ratchet import failpoints
from ratchet.domain.orders import IntentState
from ratchet.execution import switch
from ratchet.execution.switch import Level
from ratchet.persistence import control, incidents
from ratchet.runtime import Runtime
from tests.contract.persistence.rows import add_intent
from tests.integration.execution.seeds import incidents_of


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


@pytest.mark.parametrize(
    ("level", "entries_on", "exits_on"),
    [(Level.ENTRIES_OFF, False, True), (Level.ALL_OFF, False, False), (Level.ON, True, True)],
)
async def test_each_level_says_what_may_be_sent(rt: Runtime, level: Level, entries_on: bool, exits_on: bool) -> None:
    done = await switch.switch(rt.db, level, reason="test", by="a person")
    assert (done.switches.entries_on, done.switches.exits_on) == (entries_on, exits_on)
    assert (done.switches.reason, done.switches.actor) == ("test", "a person")
    assert done.took_effect and not done.in_doubt


async def test_a_reason_is_needed(rt: Runtime) -> None:
    with pytest.raises(ValueError, match="reason"):
        await switch.switch(rt.db, Level.ON, reason=" ", by="a person")


async def test_it_lists_what_may_be_at_the_broker(rt: Runtime) -> None:
    async with rt.db.transaction() as tx:
        states = (IntentState.PENDING, IntentState.SENDING, IntentState.UNKNOWN, IntentState.WORKING)
        for number, state in enumerate((*states, IntentState.FILLED)):
            await add_intent(tx, state, symbol=f"S{number}")
    done = await switch.switch(rt.db, Level.ALL_OFF, reason="test", by="a person")
    assert [str(intent.state) for intent in sorted(done.on_the_way, key=lambda i: i.symbol)] == [
        "SENDING",
        "UNKNOWN",
        "WORKING",
    ]


async def test_switching_on_closes_what_said_why_it_was_off(rt: Runtime) -> None:
    async with rt.db.transaction() as tx:
        await incidents.open_incident(tx, account="main", kind="kill_switch", summary="loss", actor="test")
        await incidents.open_incident(tx, account="main", kind="mismatch", summary="differs", actor="test")
    await switch.switch(rt.db, Level.ON, reason="looked into it", by="a person")
    (closed,) = await incidents_of(rt, "kill_switch")
    assert (closed["closed_by"], closed["decision"]) == ("a person", "looked into it")
    assert (await incidents_of(rt, "mismatch"))[0]["closed_at"] is None


async def test_a_commit_in_doubt_is_read_back(rt: Runtime) -> None:
    failpoints.arm("K19:cut")
    done = await switch.switch(rt.db, Level.ENTRIES_OFF, reason="test", by="a person")
    assert done.in_doubt and done.took_effect
    assert not done.switches.entries_on
    async with rt.db.transaction() as tx:
        assert not (await control.read(tx)).entries_on


async def test_cancelling_spares_exits_unless_they_are_stopped_too(rt: Runtime) -> None:
    async with rt.db.transaction() as tx:
        await add_intent(tx, IntentState.WORKING, symbol="A")
        await add_intent(tx, IntentState.WORKING, symbol="B", purpose="exit", side="SELL")
        await add_intent(tx, IntentState.UNKNOWN, symbol="C")
    assert [i.symbol for i in await switch.cancel_working(rt.db, exits_too=False)] == ["A"]
    assert sorted(i.symbol for i in await switch.cancel_working(rt.db, exits_too=True)) == ["A", "B"]
    done = await switch.switch(rt.db, Level.ALL_OFF, reason="test", by="a person")
    assert {i.symbol for i in done.on_the_way if i.cancel_at is not None} == {"A", "B"}
