"""The promise of a hint: it may save work, it may be missing or wrong, and it never raises because of a lost server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

FIRST_SIGHT_SECONDS = 120
"""How long a fingerprint stays marked: longer than a sender repeats itself, and than the window rule looks back."""


class Operation(StrEnum):
    """What was asked of the hints; a label of their metrics."""

    FIRST_SIGHT = "first_sight"
    HOLD = "hold"
    RENEW = "renew"
    RELEASE = "release"
    WAKE = "wake"


class Answer(StrEnum):
    """How an operation ended; a label of their metrics."""

    OK = "ok"
    CONTENDED = "contended"  # somebody else holds the lock
    FULL = "full"  # the server has no memory left and evicts nothing
    ERROR = "error"  # no answer in time, no connection, or an error in words
    SKIPPED = "skipped"  # the circuit breaker is open; the server was not asked


Observe = Callable[[Operation, Answer, float, str], None]
"""Called after each operation with its duration in seconds, and for locks with the kind of lock; counts metrics."""


class Hold(Protocol):
    """A lock that somebody has for a while. Leaving its `async with` block releases it.

    known: the server keeps it; if false, nothing is known about others and the work goes on all the same.
    """

    known: bool

    async def renew(self) -> bool:
        """Start its time again; return False if it is known to be lost."""
        ...

    async def release(self) -> None:
        """Give it back, if it is still ours."""
        ...

    async def __aenter__(self) -> Self:
        """Return the hold."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release."""
        ...


class Waiter(Protocol):
    """Listens to one topic."""

    async def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for a ring since the last wait; return whether there was one."""
        ...


class Hints(Protocol):
    """What one process may learn from the others. No method raises for a missing, slow, full or broken server."""

    @property
    def healthy(self) -> bool | None:
        """Whether the server answered last; None where there is none to ask."""
        ...

    async def first_sight(self, keys: Sequence[str]) -> list[bool | None]:
        """Mark the keys as seen; return for each True if nobody had, False if somebody had, None if unknown."""
        ...

    async def hold(self, name: str, seconds: float) -> Hold | None:
        """Take the lock `name` (`signal:...`, `position:...`) for `seconds`, renewed until released.

        None if somebody else has it. What stands before the colon is a label of the metrics, so keep it to a few.
        """
        ...

    async def wake(self, topic: str) -> None:
        """Ring for this topic in every process, this one included; rings may be lost."""
        ...

    def ring(self, topic: str) -> None:
        """Ring for this topic in this process only: for news that came another way."""
        ...

    def waiting(self, topic: str) -> AbstractAsyncContextManager[Waiter]:
        """Listen to a topic for the time of an `async with` block."""
        ...

    async def close(self) -> None:
        """End background work and connections."""
        ...
