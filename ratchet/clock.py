"""The only reader of time: what the code asks for the hour, and the clock that the machine has.

Instants are aware and in UTC. Durations are differences of `monotonic()`, which no step of the wall clock disturbs.
Rules that need an instant receive it as an argument; nothing below this floor reads a clock.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of this clock; zero or less only yields to other tasks."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        await asyncio.sleep(max(0.0, seconds))


_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS counts suspended time in CLOCK_MONOTONIC


def boottime() -> float:
    """Return seconds since an arbitrary start that also pass while the machine sleeps: what a lease is judged by."""
    return time.clock_gettime(_BOOTTIME)
