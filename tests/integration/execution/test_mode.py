"""What a pod reads of the broker besides its books: the mode that it is in, and the days on which nobody trades."""

from collections.abc import Sequence
from datetime import date

import pytest

from ratchet.brokers.base import BadAnswer, BrokerUnreachable, Holiday
from ratchet.execution.markets import Markets
from ratchet.execution.mode import ModeWatch
from ratchet.persistence import control
from ratchet.runtime import Runtime
from tests.fakes.broker import MemoryBroker
from tests.integration.execution.seeds import incidents_of


async def entries_on(rt: Runtime) -> bool:
    async with rt.db.transaction() as tx:
        return (await control.read(tx)).entries_on


async def test_a_pod_stops_entries_by_itself_when_the_broker_is_in_another_mode(
    rt: Runtime, broker: MemoryBroker
) -> None:
    watch = ModeWatch(rt)
    await watch.look()
    assert (watch.seen, await entries_on(rt)) == ("live", True)
    broker.server_mode = "analyze"
    await watch.look()
    await watch.look()
    assert (watch.seen, await entries_on(rt)) == ("analyze", False)
    (told,) = await incidents_of(rt, "kill_switch")
    assert "analyze" in told["summary"]


async def test_a_broker_that_does_not_answer_is_no_reason_to_stop(rt: Runtime, broker: MemoryBroker) -> None:
    broker.trouble = BrokerUnreachable("down")
    watch = ModeWatch(rt)
    await watch.look()
    assert (watch.seen, await entries_on(rt)) == (None, True)


@pytest.mark.parametrize(("plugin", "allowed"), [("zerodha", True), ("", True), ("paytm", False)])
async def test_nothing_is_entered_through_a_plugin_that_repeats_orders(
    rt: Runtime, broker: MemoryBroker, plugin: str, allowed: bool
) -> None:
    broker.plugin = plugin
    await ModeWatch(rt).look()
    assert await entries_on(rt) is allowed
    assert [plugin in told["summary"] for told in await incidents_of(rt, "kill_switch")] == [True] * (not allowed)


async def test_a_first_look_is_over_whatever_it_shows(rt: Runtime, broker: MemoryBroker) -> None:
    watch = ModeWatch(rt)
    assert not watch.looked.is_set()
    broker.trouble = BrokerUnreachable("down")
    await watch.look()
    assert watch.looked.is_set()


async def test_the_brokers_holidays_are_days_without_trading(
    rt: Runtime, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    markets = Markets(rt)
    monday = date(markets.today().year, 8, 3)
    while monday.weekday() != 0:
        monday = monday.replace(day=monday.day + 1)
    asked: list[int] = []

    async def holidays(year: int) -> Sequence[Holiday]:
        asked.append(year)
        if year != monday.year:
            raise BadAnswer("next year is not listed")
        return [Holiday(day=monday, closed=("MCX",), open_sessions=())]

    monkeypatch.setattr(broker, "holidays", holidays)
    calendar = await markets.calendar("main")
    assert not calendar.trading_day("MCX", monday)
    assert calendar.trading_day("NFO", monday)
    before = len(asked)
    await markets.calendar("main")
    assert len(asked) == before
