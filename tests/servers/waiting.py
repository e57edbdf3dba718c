"""Waiting for a condition with a deadline, in place of sleeping and hoping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

POLL_SECONDS = 0.02

T = TypeVar("T")


@overload
async def eventually(condition: Callable[[], Awaitable[T]], *, within: float = 5.0) -> T: ...


@overload
async def eventually(condition: Callable[[], T], *, within: float = 5.0) -> T: ...


async def eventually(condition: Callable[[], Awaitable[T] | T], *, within: float = 5.0) -> T:
    """Return the first true value of `condition` (plain or async), asked again and again for `within` seconds.

    An AssertionError that it raises counts as not yet true. Raises AssertionError when the time is over.
    """
    deadline = time.monotonic() + within
    while True:
        last: object
        try:
            value = condition()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return cast(T, value)
            last = value
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {within} s; last: {last!r}")
        await asyncio.sleep(POLL_SECONDS)


def eventually_true(condition: Callable[[], object], *, within: float = 5.0) -> None:
    """The same for code without an event loop."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {within} s")
        time.sleep(POLL_SECONDS)
