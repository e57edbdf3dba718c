"""Wakes tasks of this process by topic."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class BellWaiter:
    """One task that listens. Rings between two waits are kept as one."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """End the present or the next wait."""
        self._rung.set()

    async def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; return whether it rang."""
        try:
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


class Bell:
    """Rings every waiter of a topic."""

    def __init__(self) -> None:
        self._waiters: defaultdict[str, set[BellWaiter]] = defaultdict(set)

    @property
    def topics(self) -> frozenset[str]:
        """The topics that somebody listens to."""
        return frozenset(self._waiters)

    def ring(self, topic: str) -> None:
        """Wake all that listen to the topic."""
        for waiter in self._waiters.get(topic, ()):
            waiter.ring()

    def ring_all(self) -> None:
        """Wake everybody: rings may have been missed."""
        for topic in self._waiters:
            self.ring(topic)

    @asynccontextmanager
    async def waiting(self, topic: str) -> AsyncIterator[BellWaiter]:
        """Listen to a topic for the time of the block."""
        waiter = BellWaiter()
        self._waiters[topic].add(waiter)
        try:
            yield waiter
        finally:
            self._waiters[topic].discard(waiter)
            if not self._waiters[topic]:
                del self._waiters[topic]
