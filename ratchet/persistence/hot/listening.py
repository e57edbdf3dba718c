"""LISTEN on a connection of its own, which comes back by itself. Notices may be lost: they only save waiting."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import asyncpg

from ratchet.clock import Clock
from ratchet.persistence.errors import DRIVER_ERRORS, PersistenceError
from ratchet.persistence.hot.connections import connect
from ratchet.persistence.options import DatabaseOptions

Callback = Callable[[str], None]

_CHECK_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0


class Listener:
    """One connection for all channels of a process, opened with the first channel."""

    def __init__(self, options: DatabaseOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._callbacks: dict[str, list[Callback]] = {}
        self._connection: asyncpg.Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def add(self, channel: str, callback: Callback) -> None:
        """Call back with the payload of each notice; with an empty one after a gap in which notices may have come."""
        self._callbacks.setdefault(channel, []).append(callback)
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name="listen to the database")

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            try:
                await self._listen()
            except (PersistenceError, *DRIVER_ERRORS):
                failures += 1
            else:
                failures = 0
            finally:
                self._drop()
            longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(failures, 10))
            await self._clock.sleep(random.uniform(0, longest))

    async def _listen(self) -> None:
        """Listen until the connection is lost."""
        connection = self._connection = await connect(self._options)
        connection.add_termination_listener(lambda _: self._wake.set())
        heard: set[str] = set()
        while not connection.is_closed():
            self._wake.clear()
            for channel in self._callbacks.keys() - heard:
                await connection.add_listener(channel, self._on_notice)
                heard.add(channel)
                self._tell(channel, "")
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                await connection.execute("SELECT 1")  # a connection that died in silence is noticed here

    def _on_notice(self, _: object, _pid: int, channel: str, payload: object) -> None:
        self._tell(channel, str(payload))

    def _tell(self, channel: str, payload: str) -> None:
        for callback in self._callbacks.get(channel, ()):
            callback(payload)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
