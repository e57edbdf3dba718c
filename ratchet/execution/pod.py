"""A pod's work: it is entered among the instances, accepts, executes, and drains."""

from __future__ import annotations

import asyncio
import logging
import os
from types import TracebackType
from typing import Self

from ratchet import __version__
from ratchet.execution.accept import WORK, Acceptor
from ratchet.execution.markets import Markets
from ratchet.execution.mode import ModeWatch
from ratchet.execution.setup import ensure_accounts
from ratchet.execution.submit import posting
from ratchet.execution.worker import Worker
from ratchet.observability import metrics
from ratchet.persistence import instances
from ratchet.persistence.errors import PersistenceError, UniqueViolation
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)


class Presence:
    """This process's row among the instances: entered as soon as the database allows, kept alive, closed at the end."""

    def __init__(self, rt: Runtime, role: str) -> None:
        self._rt = rt
        self._role = role
        self._entered = False

    async def run(self) -> None:
        """Enter and beat until cancelled."""
        while True:
            try:
                await self._beat()
            except PersistenceError as error:
                log.debug("no heartbeat", extra={"event": "heartbeat_failed", "error": str(error)})
            await self._rt.clock.sleep(self._rt.settings.execution.heartbeat_seconds)

    async def enter(self) -> None:
        """Enter the row, so that a sender is known before it sends. Raises PersistenceError."""
        if self._entered:
            return
        await ensure_accounts(self._rt)
        try:
            await self._insert()
        except UniqueViolation:
            log.debug("another task of this process was faster", extra={"event": "entered_already"})
        self._entered = True

    async def _insert(self) -> None:
        host = os.uname()
        async with self._rt.db.transaction(name="enter") as tx:
            if await instances.get(tx, self._rt.boot_id) is None:
                await instances.start(
                    tx,
                    boot_id=self._rt.boot_id,
                    role=self._role,
                    host=host.nodename,
                    version=__version__,
                    pod=None,
                    lock_file=self._rt.lock_file,
                )

    async def _beat(self) -> None:
        await self.enter()
        if self._rt.lock_file is not None:
            os.utime(self._rt.lock_file)  # so that what is swept away is old for sure

        async def work(tx: Transaction) -> bool:
            return await instances.beat(tx, self._rt.boot_id)

        await self._rt.db.run(work, name="heartbeat")

    async def leave(self) -> None:
        """Record that this process sends nothing any more; for its very end."""
        if not self._entered:
            return

        async def work(tx: Transaction) -> None:
            await instances.stop(tx, self._rt.boot_id)

        try:
            await self._rt.db.run(work, name="leave")
        except PersistenceError as error:
            log.info("the end of this process is not recorded", extra={"event": "leave_failed", "error": str(error)})


class Pod:
    """Accepts and executes signals: `run` until told to stop, or for the time of an `async with` block."""

    def __init__(self, rt: Runtime, *, role: str = "service") -> None:
        self._rt = rt
        self.markets = Markets(rt)
        self.acceptor = Acceptor(rt)
        self.worker = Worker(rt, self.markets, self.acceptor.accept)
        self.mode = ModeWatch(rt)
        self._presence = Presence(rt, role)
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then drain: claim nothing more, end the turns in work, give claims back, sign off.

        Turns that outlast drain.graceful_seconds are cut off, but never between a send and its record. Accepting goes
        on to the end. Raises what a background task raises by surprise.
        """
        self._rt.db.listen(WORK, lambda _: self._rt.hints.ring(WORK))
        metrics.ORDERS_IN_FLIGHT.set_function(lambda: len(posting))
        try:
            async with asyncio.TaskGroup() as tasks:
                around = [
                    tasks.create_task(self._presence.run(), name="presence"),
                    tasks.create_task(self.acceptor.run(), name="acceptor"),
                    tasks.create_task(self.mode.run(), name="mode"),
                ]
                working = tasks.create_task(self._work(), name="worker")
                await stop.wait()
                self.worker.drain()
                await asyncio.wait([working], timeout=self._rt.settings.drain.graceful_seconds)
                for task in (working, *around):
                    task.cancel()
        finally:
            await self._presence.leave()

    async def _work(self) -> None:
        """Execute, once this process is entered and has looked at the broker's mode.

        Nobody may send whose death could not be told, nor into a mode that was not asked for.
        """
        while True:
            try:
                await self._presence.enter()
                break
            except PersistenceError:
                await self._rt.clock.sleep(self._rt.settings.execution.sweep_seconds)
        await self.mode.looked.wait()
        await self.worker.run()

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.run(self._stop), name="pod")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._running is not None:
            await self._running
