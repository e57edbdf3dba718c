"""What Redis adds while it is there, and how it is left and taken up again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ratchet.coordination.base import Answer, Operation
from ratchet.coordination.breaker import Circuit
from ratchet.coordination.redis import RedisHints
from tests.contract.coordination.conftest import MakeHints, Seen, redis_hints
from tests.servers.valkey import ValkeyServer
from tests.servers.waiting import eventually

pytestmark = pytest.mark.asyncio


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A server that a test may stop and start."""
    with ValkeyServer(memory="16mb") as server:
        yield server


def number(reply: str) -> int:
    """Read a number as the server writes it."""
    return int(reply.strip().removeprefix(":"))


async def lose(hints: RedisHints) -> None:
    """Ask until the breaker has opened."""

    async def opened() -> bool:
        await hints.first_sight(["any"])
        return hints.circuit is not Circuit.CLOSED

    await eventually(opened)


async def test_what_one_process_marked_another_has_seen(make_hints: MakeHints) -> None:
    one, other = make_hints(), make_hints()
    assert await one.first_sight(["a", "b"]) == [True, True]
    assert await other.first_sight(["b", "c"]) == [False, True]


async def test_every_key_runs_out_by_itself(make_hints: MakeHints, valkey: ValkeyServer) -> None:
    hints = make_hints()
    await hints.first_sight(["a"])
    hold = await hints.hold("lock", 30.0)
    assert hold is not None
    assert 100 < number(valkey.ask("TTL", "ratchet:seen:a")) <= 120
    assert 25 < number(valkey.ask("TTL", "ratchet:lock:lock")) <= 30
    assert number(valkey.ask("DBSIZE")) == 2
    await hold.release()


async def test_a_held_lock_is_refused_and_the_contention_counted(make_hints: MakeHints) -> None:
    seen = Seen()
    one, other = make_hints(), make_hints(seen)
    hold = await one.hold("lock", 30.0)
    assert hold is not None and hold.known
    assert await other.hold("lock", 30.0) is None
    assert seen.calls == [(Operation.HOLD, Answer.CONTENDED)]


async def test_a_released_lock_is_free(make_hints: MakeHints) -> None:
    one, other = make_hints(), make_hints()
    hold = await one.hold("lock", 30.0)
    assert hold is not None
    await hold.release()
    assert await other.hold("lock", 30.0) is not None


async def test_a_lock_that_ran_out_is_not_taken_from_its_next_holder(
    make_hints: MakeHints, valkey: ValkeyServer
) -> None:
    one, other = make_hints(), make_hints()
    late = await one.hold("lock", 30.0)
    assert late is not None
    valkey.ask("DEL", "ratchet:lock:lock")
    assert await other.hold("lock", 30.0) is not None
    assert not await late.renew()
    await late.release()
    assert number(valkey.ask("EXISTS", "ratchet:lock:lock")) == 1


async def test_a_lock_outlives_its_time_while_its_holder_works(make_hints: MakeHints, valkey: ValkeyServer) -> None:
    seen = Seen()
    hints = make_hints(seen)
    async with await hints.hold("lock", 0.3) or pytest.fail("the lock was free"):
        await eventually(lambda: seen.calls.count((Operation.RENEW, Answer.OK)) >= 4)
        assert number(valkey.ask("EXISTS", "ratchet:lock:lock")) == 1
    assert number(valkey.ask("EXISTS", "ratchet:lock:lock")) == 0


async def test_a_wake_reaches_another_process(make_hints: MakeHints) -> None:
    one, other = make_hints(), make_hints()
    async with other.waiting("work") as waiter:
        assert await waiter.wait(5.0)  # the connection is made
        await one.wake("work")
        assert await waiter.wait(5.0)


async def test_a_lost_server_is_left_alone_and_used_again_when_it_is_back(own_valkey: ValkeyServer) -> None:
    seen = Seen()
    hints = redis_hints(own_valkey.url, seen)
    assert await hints.first_sight(["a"]) == [True]
    own_valkey.kill()
    await lose(hints)
    assert hints.healthy is False
    errors = seen.calls.count((Operation.FIRST_SIGHT, Answer.ERROR))
    assert errors == 3
    assert await hints.first_sight(["a"]) == [None]
    assert seen.calls[-1] == (Operation.FIRST_SIGHT, Answer.SKIPPED)

    own_valkey.start()

    async def back() -> bool:
        return await hints.first_sight(["b"]) != [None]

    await eventually(back)
    assert hints.circuit is Circuit.CLOSED
    await hints.close()


async def test_listeners_are_rung_when_the_server_is_back(own_valkey: ValkeyServer) -> None:
    hints, other = redis_hints(own_valkey.url), redis_hints(own_valkey.url)
    async with hints.waiting("work") as waiter:
        assert await waiter.wait(5.0)
        own_valkey.kill()
        own_valkey.start()
        assert await waiter.wait(10.0)  # rings may have been missed

        async def woken() -> bool:
            await other.wake("work")
            return await waiter.wait(0.1)

        await eventually(woken)
    await hints.close()
    await other.close()


async def test_a_frozen_server_costs_three_time_outs_and_no_more(make_hints: MakeHints, valkey: ValkeyServer) -> None:
    seen = Seen()
    hints = make_hints(seen)
    await hints.first_sight(["a"])
    valkey.freeze()
    try:
        await lose(hints)
    finally:
        valkey.thaw()
    assert seen.calls.count((Operation.FIRST_SIGHT, Answer.ERROR)) == 3


async def test_a_full_server_knows_nothing_new_but_still_gives_locks_back(
    make_hints: MakeHints, valkey: ValkeyServer
) -> None:
    seen = Seen()
    hints = make_hints(seen)
    hold = await hints.hold("lock", 30.0)
    assert hold is not None
    valkey.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        assert await hints.first_sight(["a", "b"]) == [None, None]
        unknown = await hints.hold("other", 30.0)
        assert unknown is not None and not unknown.known
        await hold.release()
    finally:
        valkey.ask("CONFIG", "SET", "maxmemory", "64mb")
    assert number(valkey.ask("EXISTS", "ratchet:lock:lock")) == 0
    assert (Operation.FIRST_SIGHT, Answer.FULL) in seen.calls
    assert (Operation.HOLD, Answer.FULL) in seen.calls
    assert hints.circuit is Circuit.CLOSED


async def test_an_emptied_server_has_seen_nothing(make_hints: MakeHints, valkey: ValkeyServer) -> None:
    hints = make_hints()
    await hints.first_sight(["a"])
    valkey.flush()
    assert await hints.first_sight(["a"]) == [True]
