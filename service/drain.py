"""The end of a process in order: from the first SIGTERM it goes on answering until balancers have noticed.

Endpoint removal and SIGTERM happen in parallel, and proxies lag by seconds, so a listener that closes at once refuses
requests. Source: docs/kubernetes.md, section on shutdown.
"""

from __future__ import annotations

import asyncio

from ratchet.clock import Clock


class Drain:
    """Where a process stands between serving and gone.

    `draining`: asked to end, still serving, each answer closes its connection. `at_once`: asked a second time, nothing
    is waited for any more. requested_at, leaving_at: monotonic seconds of the first request and of the delay's end.
    """

    def __init__(self, *, delay_seconds: float, clock: Clock) -> None:
        self._delay = delay_seconds
        self._clock = clock
        self._requested = asyncio.Event()
        self._hurried = asyncio.Event()
        self.draining = False
        self.at_once = False
        self.requested_at = clock.monotonic()
        self.leaving_at = self.requested_at

    def request(self) -> None:
        """Ask for an orderly end; asked a second time, end at once. Safe in a signal handler of the loop."""
        if self.draining:
            self.at_once = True
            self._hurried.set()
            return
        self.draining = True
        self.requested_at = self._clock.monotonic()
        self._requested.set()

    async def wait_until_requested(self) -> None:
        """Return when an end was asked for."""
        await self._requested.wait()

    async def wait_until_leaving(self) -> None:
        """Return when no more requests should be taken: the delay after the first request, or at the second one."""
        await self._requested.wait()
        delay = asyncio.create_task(self._clock.sleep(self._delay), name="drain delay")
        hurry = asyncio.create_task(self._hurried.wait(), name="drain hurry")
        try:
            await asyncio.wait((delay, hurry), return_when=asyncio.FIRST_COMPLETED)
        finally:
            delay.cancel()
            hurry.cancel()
        self.leaving_at = self._clock.monotonic()

    async def wait_until_at_once(self) -> None:
        """Return when nothing should be waited for any more."""
        await self._hurried.wait()
