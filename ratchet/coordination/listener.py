"""Hears the rings of other processes, over one connection that is made again whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
import random

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from ratchet.clock import Clock
from ratchet.coordination.bell import Bell

log = logging.getLogger(__name__)

SILENCE_SECONDS = 5.0
"""After this long without a message the server is asked for a sign of life; after as long again it counts as lost."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class Listener:
    """Passes each message on a channel that begins with `prefix` to the bell; the rest of the name is its topic."""

    def __init__(
        self,
        client: Redis,
        prefix: str,
        bell: Bell,
        clock: Clock,
        *,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._bell = bell
        self._clock = clock
        self._silence = silence_seconds
        self._pause = FIRST_PAUSE_SECONDS
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, if not begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="hear other processes")

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        while True:
            pubsub = self._client.pubsub()
            try:
                await self._listen(pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                log.debug(
                    "rings of other processes are not heard",
                    extra={"event": "rings_lost", "error": str(error)},
                )
            finally:
                await _close(pubsub)
            await self._clock.sleep(random.uniform(0, self._pause))
            self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)

    async def _listen(self, pubsub: PubSub) -> None:
        async with asyncio.timeout(self._silence):
            await pubsub.psubscribe(f"{self._prefix}*")
        asked = False
        while True:
            message = await pubsub.get_message(timeout=self._silence)
            if message is not None:
                asked = False
                self._hear(message)
            elif asked:
                raise TimeoutError("no sign of life")
            else:
                async with asyncio.timeout(self._silence):
                    await pubsub.ping()
                asked = True

    def _hear(self, message: dict[str, object]) -> None:
        if message["type"] == "psubscribe":
            self._pause = FIRST_PAUSE_SECONDS
            self._bell.ring_all()
        elif message["type"] == "pmessage":
            channel = message["channel"]
            name = channel.decode() if isinstance(channel, bytes) else str(channel)
            self._bell.ring(name.removeprefix(self._prefix))


async def _close(pubsub: PubSub) -> None:
    try:
        async with asyncio.timeout(1.0):
            await pubsub.aclose()  # type: ignore[no-untyped-call]
    except (RedisError, OSError, TimeoutError) as error:
        log.debug(
            "a lost connection could not be closed in order",
            extra={"event": "close_failed", "error": str(error)},
        )
