"""Running something on the loop of another thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from leader.crossing import Pulse, loop_of_its_own, run_on, tell
from tests.fakes.clock import ManualClock
from tests.servers.waiting import eventually


async def test_it_runs_on_the_other_thread_and_comes_back_with_its_end() -> None:
    ran: list[int] = []

    async def there() -> None:
        ran.append(threading.get_ident())

    async with loop_of_its_own("other") as loop:
        await run_on(loop, there)
    assert ran and ran[0] != threading.get_ident()


async def test_its_error_is_raised_here() -> None:
    async def there() -> None:
        raise ValueError("over there")

    async with loop_of_its_own("other") as loop:
        with pytest.raises(ValueError, match="over there"):
            await run_on(loop, there)


async def test_a_cancellation_ends_it_there_and_comes_back_only_then() -> None:
    begun, may_end = threading.Event(), threading.Event()
    ended: list[bool] = []

    async def there() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(may_end.wait, 10)
            ended.append(True)

    async with loop_of_its_own("other") as loop:
        task = asyncio.create_task(run_on(loop, there))
        await eventually(begun.is_set)
        task.cancel()
        await asyncio.wait([task], timeout=0.2)
        assert not task.done()
        may_end.set()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled() and ended == [True]


async def test_a_cancellation_reaches_what_has_not_begun_because_its_loop_stands_still() -> None:
    stand, ran = threading.Event(), list[bool]()

    async def there() -> None:
        ran.append(True)

    async with loop_of_its_own("other") as loop:
        tell(loop, stand.wait, 10)
        task = asyncio.create_task(run_on(loop, there))
        await asyncio.wait([task], timeout=0.05)
        task.cancel()
        await asyncio.wait([task], timeout=0.05)
        assert not task.done()
        stand.set()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled() and ran == []


async def test_what_is_cancelled_there_counts_as_cancelled_here() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def there() -> None:
        current = asyncio.current_task()
        assert current is not None
        tasks.append(current)
        await asyncio.Event().wait()

    async with loop_of_its_own("other") as loop:
        task = asyncio.create_task(run_on(loop, there))
        await eventually(lambda: tasks)
        tell(loop, tasks[0].cancel)
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()


async def test_a_loop_that_has_ended_is_told_nothing_and_runs_nothing() -> None:
    async with loop_of_its_own("other") as loop:
        assert tell(loop, int)
    assert not tell(loop, int)
    with pytest.raises(RuntimeError):
        await run_on(loop, _nothing)


async def _nothing() -> None:
    return None


async def test_a_pulse_beats_only_as_long_as_it_may() -> None:
    clock, alive = ManualClock(), [True]
    pulse = Pulse(clock.monotonic)
    beating = asyncio.create_task(pulse.beat(clock, 1.0, if_=lambda: alive[0]))
    await clock.advance(10.5)
    assert pulse.silent_seconds == 0.5
    alive[0] = False
    await clock.advance(5.0)
    assert pulse.silent_seconds == 5.5
    beating.cancel()
    await asyncio.wait([beating])
