"""Without Redis: nothing is known about other processes, and only this one's tasks are woken."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from ratchet.coordination.base import Waiter
from ratchet.coordination.bell import Bell


class UnknownHold:
    """Stands for a lock of which nothing is known; the work goes on."""

    known = False

    async def renew(self) -> bool:
        """Return True: it is not known to be lost."""
        return True

    async def release(self) -> None:
        """Do nothing."""

    async def __aenter__(self) -> Self:
        """Return the hold."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing."""


class NoHints:
    """The hints of an installation without Redis."""

    def __init__(self) -> None:
        self._bell = Bell()

    @property
    def healthy(self) -> None:
        """Return None: there is no server to ask."""
        return None

    async def first_sight(self, keys: Sequence[str]) -> list[bool | None]:
        """Return None for each: the database knows."""
        return [None] * len(keys)

    async def hold(self, name: str, seconds: float) -> UnknownHold:
        """Return a hold that says nothing."""
        return UnknownHold()

    async def wake(self, topic: str) -> None:
        """Ring in this process."""
        self._bell.ring(topic)

    def ring(self, topic: str) -> None:
        """Ring in this process."""
        self._bell.ring(topic)

    def waiting(self, topic: str) -> AbstractAsyncContextManager[Waiter]:
        """Listen to a topic for the time of an `async with` block."""
        return self._bell.waiting(topic)

    async def close(self) -> None:
        """Do nothing; there is nothing open."""
