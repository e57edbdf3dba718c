"""The steps of an end in order, by a clock that is moved."""

import asyncio

from service.drain import Drain
from tests.fakes.clock import ManualClock


async def test_the_first_request_starts_the_delay_and_its_end_means_leaving() -> None:
    clock = ManualClock()
    drain = Drain(delay_seconds=5, clock=clock)
    leaving = asyncio.create_task(drain.wait_until_leaving())
    await clock.advance(100)
    assert not leaving.done()
    drain.request()
    assert drain.draining
    await clock.advance(4.9)
    assert not leaving.done()
    await clock.advance(0.2)
    await leaving
    assert not drain.at_once
    assert drain.leaving_at - drain.requested_at >= 5


async def test_a_second_request_ends_the_delay() -> None:
    clock = ManualClock()
    drain = Drain(delay_seconds=5, clock=clock)
    leaving = asyncio.create_task(drain.wait_until_leaving())
    drain.request()
    await clock.advance(1)
    drain.request()
    await leaving
    assert drain.at_once
    await drain.wait_until_at_once()
