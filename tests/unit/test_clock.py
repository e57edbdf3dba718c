"""Clocks: the machine's is aware and monotonic, the manual one moves only when it is told."""

import asyncio
from datetime import UTC, timedelta

from ratchet.clock import Clock, SystemClock
from tests.fakes.clock import ManualClock


async def test_the_system_clock_is_aware_and_its_sleep_lasts() -> None:
    clock: Clock = SystemClock()
    assert clock.now().tzinfo is UTC
    began = clock.monotonic()
    await clock.sleep(0.02)
    assert clock.monotonic() - began >= 0.02
    await clock.sleep(-1)


async def test_sleepers_of_the_manual_clock_wake_in_order_at_their_own_instants() -> None:
    clock = ManualClock()
    start = clock.now()
    woken: list[tuple[str, timedelta]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.now() - start))

    async with asyncio.TaskGroup() as sleepers:
        sleepers.create_task(sleeper("late", 3))
        sleepers.create_task(sleeper("early", 1))
        await clock.advance(2)
        assert woken == [("early", timedelta(seconds=1))]
        await clock.advance(2)
    assert woken[1] == ("late", timedelta(seconds=3))


async def test_a_wall_clock_step_leaves_durations_alone() -> None:
    clock = ManualClock()
    before = clock.monotonic()
    clock.step_wall(-3600)
    assert clock.monotonic() == before
