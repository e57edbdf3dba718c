"""The loop around the decision: reads and writes the lease, takes the epoch, and runs the work while it leads.

- The work begins after the epoch was taken, and is cancelled when the right to act ends.
- The lease is given back only after the work has ended.
- Losing the lease ends the work, not the process: it stands by again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from leader.election import Create, Lost, Renew, Take, Times, View, nobody, right_to_act_ends, step
from leader.leadership import Leadership, LeadershipLost
from leader.lease import Fence, Lease, LeaseConflict, LeaseUnavailable, Record
from ratchet.clock import Clock, boottime
from ratchet.observability import metrics

log = logging.getLogger(__name__)

RELEASE_SECONDS = 2.0
"""Longest time spent on giving the lease back; it runs out by itself."""

RELEASED_DURATION_SECONDS = 1
JITTER = 0.2

T = TypeVar("T")
Work = Callable[[Leadership], Awaitable[None]]


@dataclass(slots=True)
class Standing:
    """What probes and `/health` show."""

    epoch: int | None = None
    holder: str | None = None
    renewed_at: float | None = None
    transitions: int = 0


class Elector:
    """Stands by and leads in turn, until stopped."""

    def __init__(
        self,
        *,
        lease: Lease,
        fence: Fence,
        identity: str,
        times: Times,
        clock: Clock,
        proven_dead: Callable[[str], bool] = nobody,
        now: Callable[[], float] = boottime,
    ) -> None:
        self._lease = lease
        self._fence = fence
        self._times = times
        self._clock = clock
        self._proven_dead = proven_dead
        self._now = now
        self._view = View(identity=identity)
        self._stopping = asyncio.Event()
        self.standing = Standing()

    @property
    def identity(self) -> str:
        """The name this process writes into the lease; new with each process."""
        return self._view.identity

    def stop(self) -> None:
        """Ask for an orderly end: the work is ended, then the lease given back."""
        self._stopping.set()

    async def run(self, work: Work) -> None:
        """Stand by and lead until stopped. `work` is run once for each time that this process leads."""
        while not self._stopping.is_set():
            leadership = await self._stand_by()
            if leadership is not None:
                await self._lead(leadership, work)

    async def _stand_by(self) -> Leadership | None:
        """Return once the lease and the epoch are ours; None when stopped."""
        while not self._stopping.is_set():
            try:
                if await self._try_to_win():
                    leadership = await self._take_epoch()
                    if leadership is not None:
                        return leadership
                    await self._release()
                await self._pause_until(self._next_try())
            except LeaseConflict:
                metrics.LEADER_RENEW_FAILURES.labels("conflict").inc()
                await self._pause_until(self._now() + random.uniform(0, self._times.retry_period * JITTER))
            except LeaseUnavailable as error:
                metrics.LEADER_RENEW_FAILURES.labels("unavailable").inc()
                log.debug("the lease cannot be reached", extra={"event": "lease_unavailable", "error": str(error)})
                await self._pause_until(self._now() + self._times.retry_period)
        return None

    async def _try_to_win(self) -> bool:
        """Read the lease, and write it if it is free; return whether it is ours."""
        await self._read()
        match step(self._view, self._now(), self._times, self._proven_dead):
            case Create():
                await self._write(self._lease.create(holder=self.identity, duration_seconds=self._times.lease_duration))
                return True
            case Take(seen, transitions):
                await self._write(self._replace(seen, transitions))
                return True
            case _:
                return False

    def _next_try(self) -> float:
        match step(self._view, self._now(), self._times, self._proven_dead):
            case Take() | Create():
                return self._now() + self._times.retry_period * random.uniform(1, 1 + JITTER)
            case found:
                return getattr(found, "until", self._now() + self._times.retry_period)

    async def _take_epoch(self) -> Leadership | None:
        """Raise the epoch for the lease just won; without one there is no leadership."""
        record, renewed_at = self._view.record, self._view.renewed_at
        if record is None or renewed_at is None:
            return None
        try:
            async with asyncio.timeout(self._times.request_timeout):
                epoch = await self._fence.take(
                    holder=self.identity, lease_uid=record.uid, transitions=record.transitions
                )
        except (LeaseUnavailable, TimeoutError) as error:
            log.warning("the lease was won, but not the epoch", extra={"event": "epoch_missed", "error": str(error)})
            return None
        if epoch is None:
            log.warning("a later leader has taken the epoch already", extra={"event": "epoch_passed"})
            return None
        return Leadership(epoch=epoch, until=right_to_act_ends(renewed_at, self._times), now=self._now)

    async def _lead(self, leadership: Leadership, work: Work) -> None:
        log.info("leading", extra={"event": "leader_elected", "leader_epoch": leadership.epoch})
        self.standing.epoch = leadership.epoch
        metrics.LEADER.set(1)
        metrics.LEADER_EPOCH.set(leadership.epoch)
        metrics.LEADER_TRANSITIONS.inc()
        working = asyncio.create_task(_run(work, leadership), name="duties")
        try:
            await self._hold(leadership, working)
        except LeadershipLost as lost:
            log.warning("leading no more", extra={"event": "leadership_lost", "why": str(lost)})
        finally:
            leadership.end()
            working.cancel()
            await asyncio.wait([working])
            self.standing.epoch = None
            metrics.LEADER.set(0)
        _report(working)
        await self._release()
        if not self._stopping.is_set():
            await self._pause_until(self._now() + self._times.retry_period * random.uniform(1, 1 + JITTER))

    async def _hold(self, leadership: Leadership, working: asyncio.Task[None]) -> None:
        """Renew until stopped or until the work has ended by itself. Raises LeadershipLost."""
        while not working.done() and not self._stopping.is_set():
            match step(self._view, self._now(), self._times):
                case Renew(seen):
                    await self._renew(seen, leadership)
                case Lost(why):
                    raise LeadershipLost(why)
                case found:
                    await self._pause_until(getattr(found, "until", self._now()), working)

    async def _renew(self, seen: Record, leadership: Leadership) -> None:
        try:
            await self._write(self._replace(seen, seen.transitions))
            leadership.extend(right_to_act_ends(self._view.renewed_at or 0.0, self._times))
            return
        except LeaseConflict:
            metrics.LEADER_RENEW_FAILURES.labels("conflict").inc()
        except LeaseUnavailable as error:
            metrics.LEADER_RENEW_FAILURES.labels("unavailable").inc()
            log.debug("the lease was not renewed", extra={"event": "renewal_failed", "error": str(error)})
            await self._pause_until(self._now() + min(self._times.retry_period / 4, leadership.remaining_seconds))
        try:
            # Our write may have arrived although its answer did not: the version that is there now tells.
            await self._read()
        except LeaseUnavailable as error:
            log.debug("the lease cannot be read", extra={"event": "lease_unavailable", "error": str(error)})

    def _replace(self, seen: Record, transitions: int) -> Awaitable[Record]:
        return self._lease.replace(
            seen, holder=self.identity, duration_seconds=self._times.lease_duration, transitions=transitions
        )

    async def _read(self) -> None:
        record = await self._bounded(self._lease.get())
        self._view = self._view.saw(record, self._now())
        self._show()

    async def _write(self, writing: Awaitable[Record]) -> None:
        sent_at = self._now()
        record = await self._bounded(writing)
        self._view = self._view.wrote(record, sent_at)
        metrics.LEADER_RENEW_SECONDS.observe(self._now() - sent_at)
        self._show()

    def _show(self) -> None:
        record = self._view.record
        self.standing.holder = record.holder if record else None
        self.standing.transitions = record.transitions if record else 0
        self.standing.renewed_at = self._view.renewed_at

    async def _release(self) -> None:
        """Give the lease back if it names us. Only after the work has ended."""
        self._view = self._view.stepped_down()
        self._show()
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._give_back()
        except (LeaseUnavailable, TimeoutError) as error:
            log.debug("the lease is left to run out", extra={"event": "lease_left", "error": str(error)})

    async def _give_back(self) -> None:
        while True:
            record = await self._lease.get()
            if record is None or record.holder != self.identity:
                return
            try:
                await self._lease.replace(
                    record, holder="", duration_seconds=RELEASED_DURATION_SECONDS, transitions=record.transitions
                )
                log.info("gave the lease back", extra={"event": "lease_released"})
                return
            except LeaseConflict:
                continue

    async def _bounded(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._times.request_timeout):
                return await call
        except TimeoutError as error:
            raise LeaseUnavailable("no answer in time") from error

    async def _pause_until(self, instant: float, working: asyncio.Task[None] | None = None) -> None:
        """Wait, but not beyond a stop or the end of the work."""
        waits = [
            asyncio.create_task(self._clock.sleep(instant - self._now()), name="pause"),
            asyncio.create_task(self._stopping.wait(), name="until stopped"),
        ]
        try:
            await asyncio.wait([*waits, *([working] if working else [])], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()


async def _run(work: Work, leadership: Leadership) -> None:
    await work(leadership)


def _report(working: asyncio.Task[None]) -> None:
    """Say why the work ended, if it did so by itself."""
    if working.cancelled():
        return
    error = working.exception()
    if isinstance(error, LeadershipLost):
        metrics.LEADER_FENCED_OUT.inc()
        log.warning("the database knows a later leader", extra={"event": "fenced_out", "why": str(error)})
    elif error is not None:
        log.error("the duties failed", exc_info=error, extra={"event": "duties_failed"})
