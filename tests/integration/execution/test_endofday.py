"""The end-of-day duty: one signal of each instrument, however often and by however many it is asked for."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from ratchet.brokers.base import BrokerUnreachable, SessionTimes
from ratchet.domain.endofday import SEVEN
from ratchet.domain.identity import fingerprint
from ratchet.domain.signals import SignalKind, SignalStatus
from ratchet.execution import endofday
from ratchet.persistence import layers, market
from ratchet.persistence.layers import TradeState
from ratchet.persistence.tables import signal_log
from ratchet.persistence.transaction import Row
from ratchet.runtime import Runtime
from tests.contract.persistence.rows import add_signal
from tests.fakes.broker import MemoryBroker
from tests.integration.execution.conftest import PatientClock
from tests.integration.execution.seeds import add_layer, at

CLOSE = at(18, 25)
STAMP = CLOSE - timedelta(seconds=45)
NOW = CLOSE - timedelta(seconds=40)
SESSION = SessionTimes(exchange="MCX", opens=at(3, 30), closes=CLOSE)
NO = dict.fromkeys((*SEVEN, "long_entry", "long_exit"), False)
INDICATORS = {"rsi": 73.4, "ema": 131250.5, "dc_upper": 135010, "adx": 12.8, "er": 0.8312, "supertrend": 134210}


async def see(rt: Runtime, *, seconds_ago: int = 10, **conditions: bool) -> None:
    """Store a view and the message that it came in."""
    stamp = NOW - timedelta(seconds=seconds_ago)
    view: dict[str, Any] = {
        "price": 134870,
        "conditions": {**NO, **conditions},
        "indicators": {**INDICATORS, "atr": 795.25},
    }
    async with rt.db.transaction() as tx:
        await market.set_view(tx, "main", "GOLD_MINI", at=stamp, view=view)
        name = fingerprint("GOLD_MINI", SignalKind.EOD_MONITOR, None, stamp)
        row = {"kind": "EOD_MONITOR", "layer": None, "signal_ts": stamp, "fingerprint": name, "strategy": "of the view"}
        await add_signal(tx, SignalStatus.EXECUTED, **row)


async def trades(rt: Runtime) -> list[Row]:
    async with rt.db.transaction() as tx:
        return await tx.all(select(signal_log).where(signal_log.c.source == "executor"))


def in_time(broker: MemoryBroker, clock: PatientClock) -> None:
    broker.sessions = [SESSION]
    clock.hour = NOW


async def test_an_entry_is_stored_once_with_what_the_view_says(
    rt: Runtime, broker: MemoryBroker, clock: PatientClock
) -> None:
    in_time(broker, clock)
    await see(rt, long_entry=True)
    assert await endofday.run(rt) == 1
    clock.hour = NOW + timedelta(seconds=5)
    assert await endofday.run(rt) == 0
    (row,) = await trades(rt)
    assert (row["kind"], row["layer"], row["signal_ts"], row["strategy"]) == (
        "BASE_ENTRY",
        "Long_1",
        STAMP,
        "of the view",
    )
    instrument = rt.instrument("GOLD_MINI")
    assert Decimal(row["payload"]["stop"]) == 134870 - instrument.initial_atr * Decimal("795.25")
    assert (row["payload"]["price"], row["payload"]["er"]) == ("134870", "0.8312")
    assert row["payload"]["reason"] == endofday.REASON


async def test_what_the_first_trade_has_opened_is_no_occasion_for_a_second(
    rt: Runtime, broker: MemoryBroker, clock: PatientClock
) -> None:
    in_time(broker, clock)
    await see(rt, long_entry=True)
    await endofday.run(rt)
    async with rt.db.transaction() as tx:
        layer = await add_layer(tx, 100)
        state = TradeState(trade_id=layer.trade_id, base_position_id=layer.id, layers_opened=1)
        await tx.change(layers.setting_trade(tx, "main", "GOLD_MINI", state))
    assert await endofday.run(rt) == 0
    assert len(await trades(rt)) == 1


async def test_an_exit_condition_in_position_exits_all(rt: Runtime, broker: MemoryBroker, clock: PatientClock) -> None:
    in_time(broker, clock)
    async with rt.db.transaction() as tx:
        await add_layer(tx, 100)
    await see(rt, long_exit=True)
    assert await endofday.run(rt) == 1
    (row,) = await trades(rt)
    assert (row["kind"], row["layer"]) == ("EXIT", "ALL")


async def test_before_its_time_nothing_is_handed_in(rt: Runtime, broker: MemoryBroker, clock: PatientClock) -> None:
    in_time(broker, clock)
    await see(rt, long_entry=True)
    clock.hour = STAMP - timedelta(seconds=1)
    assert await endofday.run(rt) == 0


async def test_a_view_older_than_90_seconds_is_not_used(rt: Runtime, broker: MemoryBroker, clock: PatientClock) -> None:
    in_time(broker, clock)
    await see(rt, seconds_ago=91, long_entry=True)
    assert await endofday.run(rt) == 0
    await see(rt, seconds_ago=90, long_entry=True)
    assert await endofday.run(rt) == 1


async def test_a_stop_below_zero_makes_no_trade(rt: Runtime, broker: MemoryBroker, clock: PatientClock) -> None:
    in_time(broker, clock)
    await see(rt, long_entry=True)
    async with rt.db.transaction() as tx:
        seen = await market.read(tx, "main", "GOLD_MINI")
        assert seen.view is not None and seen.view_ts is not None
        await market.set_view(tx, "main", "GOLD_MINI", at=seen.view_ts, view={**seen.view, "price": 700})
    assert await endofday.run(rt) == 0


async def test_an_unknown_close_is_no_close(rt: Runtime, broker: MemoryBroker, clock: PatientClock) -> None:
    in_time(broker, clock)
    await see(rt, long_entry=True)
    broker.trouble = BrokerUnreachable("down")
    assert await endofday.run(rt) == 0
