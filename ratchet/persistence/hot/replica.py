"""A read replica, for lists that may be some moments old; while it does not answer, the primary is read instead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from sqlalchemy.ext.asyncio import AsyncEngine

from ratchet.clock import Clock
from ratchet.persistence.errors import DRIVER_ERRORS, DatabaseUnavailable, PoolExhausted
from ratchet.persistence.transaction import Transaction

log = logging.getLogger(__name__)

AWAY_SECONDS = 5.0
"""How long a replica that did not answer is left alone."""

ANSWER_SECONDS = 1.0
"""Longest wait for its first answer: there is somebody else to ask."""

POOL_SECONDS = 0.5
"""Longest wait for one of its connections, which says nothing about the replica."""

Snapshot = Callable[[AsyncExitStack, AsyncEngine], Awaitable[Transaction]]
"""Opens a snapshot on a connection of an engine, until the stack is closed."""


class Replica:
    """One process's use of one replica."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._away_until = 0.0

    async def read(self, stack: AsyncExitStack, snapshot: Snapshot) -> Transaction | None:
        """Return a snapshot of it, or None if it does not answer. Raises PoolExhausted: its lists are slow."""
        if self._clock.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                tx = await snapshot(stack, self._engine)
        except PoolExhausted:
            raise
        except (DatabaseUnavailable, TimeoutError) as error:
            await self._away(str(error) or "no answer in time")
            return None
        if self._away_until:
            self._away_until = 0.0
            log.info("the read replica answers again", extra={"event": "replica_back"})
        return tx

    async def _away(self, why: str) -> None:
        self._away_until = self._clock.monotonic() + AWAY_SECONDS
        log.warning(
            "the read replica does not answer: lists come from the primary",
            extra={"event": "replica_away", "error": why},
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._engine.dispose()  # what is kept may be as dead as this one
        except DRIVER_ERRORS:
            pass  # the engine has a new pool all the same

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()
