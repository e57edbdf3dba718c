"""Between two event loops, each on a thread of its own: running something over there, and signs of life.

Nothing is shared but what a single assignment changes; all else crosses by `call_soon_threadsafe`, which never waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from ratchet.clock import Clock, boottime

JOIN_SECONDS = 5.0
"""How long a thread whose loop was told to stop may take; it is left behind then, and does not keep the process."""


class Pulse:
    """Signs of life of one loop, for another to read."""

    def __init__(self, now: Callable[[], float] = boottime) -> None:
        self._now = now
        self.at = now()

    @property
    def silent_seconds(self) -> float:
        """How long there was none."""
        return self._now() - self.at

    async def beat(self, clock: Clock, every: float, *, if_: Callable[[], bool] = lambda: True) -> None:
        """Give one each `every` seconds until cancelled, as long as `if_` says so."""
        while True:
            if if_():
                self.at = self._now()
            await clock.sleep(every)


@asynccontextmanager
async def loop_of_its_own(name: str) -> AsyncIterator[asyncio.AbstractEventLoop]:
    """Run an event loop on a new thread for the time of the block."""
    loop = asyncio.new_event_loop()

    def serve() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.get_loop().run_forever()

    thread = threading.Thread(target=serve, name=name, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        tell(loop, loop.stop)
        await asyncio.to_thread(thread.join, JOIN_SECONDS)


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *arguments: object) -> bool:
    """Have it called on a loop soon; return False if that loop has ended."""
    try:
        loop.call_soon_threadsafe(callback, *arguments)
    except RuntimeError:
        return False
    return True


async def run_on(there: asyncio.AbstractEventLoop, begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine on another loop and return, or raise, once it has ended there.

    A cancellation is passed on, and the end over there is waited for all the same: only a loop that has ended itself
    has taken with it what ran on it. Raises RuntimeError if it had ended before.
    """
    here = asyncio.get_running_loop()
    ended: asyncio.Future[BaseException | None] = here.create_future()
    running: list[asyncio.Task[None]] = []

    def start() -> None:
        task = there.create_task(begin())
        running.append(task)
        task.add_done_callback(report)

    def report(task: asyncio.Task[None]) -> None:
        tell(here, settle, asyncio.CancelledError() if task.cancelled() else task.exception())

    def settle(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(error)

    def cancel() -> None:
        for task in running:
            task.cancel()

    there.call_soon_threadsafe(start)
    reached, cancelled = True, False
    while reached and not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError:
            cancelled = True
            reached = tell(there, cancel)
    error = ended.result() if ended.done() else None
    if error is not None:
        raise error
    if cancelled:
        raise asyncio.CancelledError
