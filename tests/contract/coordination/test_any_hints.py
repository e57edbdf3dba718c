"""What holds of hints in every condition of the server: present, absent, gone, frozen, full, broken."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import pytest

from ratchet.coordination import Hints
from tests.contract.coordination.conftest import TIMEOUT

pytestmark = pytest.mark.asyncio


async def test_a_key_that_nobody_marked_is_never_called_seen(hints: Hints) -> None:
    for _ in range(5):
        keys = [uuid4().hex for _ in range(3)]
        answers = await hints.first_sight(keys)
        assert len(answers) == len(keys)
        assert False not in answers


async def test_no_keys_give_no_answers(hints: Hints) -> None:
    assert await hints.first_sight([]) == []


async def test_a_free_lock_is_never_refused(hints: Hints) -> None:
    for _ in range(5):
        hold = await hints.hold(uuid4().hex, 1.0)
        assert hold is not None
        assert await hold.renew()
        await hold.release()


async def test_a_wake_rings_the_waiters_of_its_own_process(hints: Hints) -> None:
    async with hints.waiting("work") as waiter:
        while await waiter.wait(0.05):  # a ring at the begin, of the connection made, is allowed
            pass
        await hints.wake("work")
        assert await waiter.wait(5.0)


async def test_a_ring_between_two_waits_is_kept(hints: Hints) -> None:
    async with hints.waiting("work") as waiter:
        hints.ring("work")
        hints.ring("work")
        assert await waiter.wait(0.0)


async def test_a_ring_reaches_its_topic_only(hints: Hints) -> None:
    async with hints.waiting("work") as waiter:
        while await waiter.wait(0.05):
            pass
        hints.ring("other")
        assert not await waiter.wait(0.0)


async def test_every_call_ends_within_its_time_out(hints: Hints) -> None:
    for _ in range(4):
        started = time.monotonic()
        await hints.first_sight(["a"])
        await hints.wake("work")
        hold = await hints.hold("lock", 1.0)
        assert time.monotonic() - started < 3 * TIMEOUT + 0.3
        if hold is not None:
            await hold.release()


async def test_a_cancelled_call_leaves_the_hints_in_order(hints: Hints) -> None:
    call = asyncio.create_task(hints.first_sight(["a"]))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call], timeout=1.0)
    assert call.done()
    assert len(await hints.first_sight([uuid4().hex])) == 1
