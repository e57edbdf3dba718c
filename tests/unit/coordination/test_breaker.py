"""The circuit breaker, on a clock that is moved by hand."""

from __future__ import annotations

import pytest

from ratchet.coordination.breaker import Breaker, Circuit
from tests.fakes.clock import ManualClock

pytestmark = pytest.mark.asyncio


def breaker(clock: ManualClock) -> Breaker:
    """Return one whose pause is its whole bound."""
    return Breaker(clock, failures=3, first=1.0, longest=30.0, jitter=lambda bound: bound)


def fail(b: Breaker, times: int) -> None:
    """Fail as often, each time permitted."""
    for _ in range(times):
        assert b.permits()
        b.failed()


async def test_it_opens_after_three_errors_in_a_row() -> None:
    b = breaker(ManualClock())
    fail(b, 2)
    b.succeeded()
    fail(b, 2)
    assert b.permits()
    b.failed()
    assert b.circuit is Circuit.OPEN
    assert not b.permits()


async def test_one_task_probes_after_the_pause() -> None:
    clock = ManualClock()
    b = breaker(clock)
    fail(b, 3)
    await clock.advance(1.0)
    assert [b.permits() for _ in range(3)] == [True, False, False]


async def test_the_pause_doubles_up_to_its_longest() -> None:
    clock = ManualClock()
    b = breaker(clock)
    fail(b, 3)
    pauses = []
    for _ in range(7):
        before = clock.monotonic()
        while not b.permits():
            await clock.advance(0.5)
        pauses.append(clock.monotonic() - before)
        b.failed()
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


async def test_a_good_probe_closes_it_and_starts_the_pauses_again() -> None:
    clock = ManualClock()
    b = breaker(clock)
    fail(b, 3)
    await clock.advance(1.0)
    fail(b, 1)
    await clock.advance(2.0)
    assert b.permits()
    b.succeeded()
    assert b.circuit is Circuit.CLOSED
    fail(b, 3)
    await clock.advance(1.0)
    assert b.permits()


async def test_a_cancelled_probe_lets_another_task_probe() -> None:
    clock = ManualClock()
    b = breaker(clock)
    fail(b, 3)
    await clock.advance(1.0)
    assert b.permits()
    b.abandoned()
    assert b.permits()


async def test_an_answer_that_was_under_way_does_not_close_an_open_one() -> None:
    b = breaker(ManualClock())
    fail(b, 3)
    b.succeeded()
    assert b.circuit is Circuit.OPEN


async def test_the_default_jitter_stays_within_the_bound() -> None:
    clock = ManualClock()
    b = Breaker(clock)
    fail(b, 3)
    await clock.advance(1.0)
    assert b.permits()
