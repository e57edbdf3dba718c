"""The loop around the decision: reads and writes the lease, takes the epoch, and runs the work while it leads.

- The work begins after the epoch was taken, and is cancelled when the right to act ends, or when it falls silent.
- The lease is given back only after the work has ended; until then this process does not stand for election again.
- Losing the lease ends the work, not the process: it stands by again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import inf
from typing import TypeVar

from leader.announcing import Announce, Moment, to_nobody
from leader.election import Create, HandOver, Lost, Renew, Take, Times, View, right_to_act_ends, step
from leader.leadership import Leadership, LeadershipLost
from leader.lease import Fence, Lease, LeaseConflict, LeaseUnavailable, Record
from leader.standing import Standing
from ratchet.clock import Clock, boottime
from ratchet.failpoints import Failpoint, reach
from ratchet.observability import metrics

log = logging.getLogger(__name__)

RELEASE_SECONDS = 2.0
"""Longest time spent on giving the lease back; it runs out by itself."""

RELEASED_DURATION_SECONDS = 1
JITTER = 0.2

T = TypeVar("T")
Work = Callable[[Leadership], Awaitable[None]]
Dead = Callable[[str], Awaitable[bool]]
"""Whether the process of a holder's identity is proven to run no more."""


async def nobody(_holder: str) -> bool:
    """Return False: no holder is proven dead."""
    return False


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
        proven_dead: Dead = nobody,
        announce: Announce = to_nobody,
        standing: Standing | None = None,
        heard_at: Callable[[], float] = lambda: inf,
        now: Callable[[], float] = boottime,
    ) -> None:
        """heard_at: when the work last gave a sign of life, by `now`; work on this very loop needs to give none."""
        self._lease = lease
        self._fence = fence
        self._times = times
        self._clock = clock
        self._proven_dead = proven_dead
        self._announce = announce
        self._heard_at = heard_at
        self._now = now
        self._view = View(identity=identity)
        self._complaint = ""
        self._stopping = asyncio.Event()
        self.standing = standing or Standing()

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
        known = False
        while not self._stopping.is_set():
            try:
                if not known:
                    await self._read()
                    known = True
                if not await self._try_to_win():
                    continue
                leadership = await self._take_epoch()
                if leadership is not None:
                    return leadership
                await self._release()
                await self._pause_until(self._now() + self._times.retry_period * random.uniform(1, 1 + JITTER))
            except LeaseConflict:
                metrics.LEADER_RENEW_FAILURES.labels("conflict").inc()
                await self._pause_until(self._now() + random.uniform(0, self._times.retry_period * JITTER))
            except LeaseUnavailable as error:
                metrics.LEADER_RENEW_FAILURES.labels("unavailable").inc()
                self._complain(error)
                await self._pause_until(self._now() + self._times.retry_period)
            known = False
        return None

    async def _try_to_win(self) -> bool:
        """Write the lease if it is free and return True; else wait for it to change."""
        record, since = self._view.record, self._view.unchanged_since
        dead = record is not None and bool(record.holder) and await self._proven_dead(record.holder)
        match step(self._view, self._now(), self._times, holder_is_dead=dead):
            case Create():
                await self._write(self._lease.create(holder=self.identity, duration_seconds=self._times.lease_duration))
                return True
            case Take(seen, transitions):
                await self._write(self._replace(seen, transitions))
                metrics.LEADER_TAKEOVER_SECONDS.observe(self._now() - since)
                return True
            case found:
                await self._watch_until(getattr(found, "until", self._now()))
                return False

    async def _watch_until(self, instant: float) -> None:
        """Wait for the lease to change, but not beyond an instant or a stop."""
        seconds = max(0.0, instant - self._now())
        watching = asyncio.create_task(self._lease.wait(self._view.record, seconds), name="wait for the lease")
        stopped = asyncio.create_task(self._stopping.wait(), name="until stopped")
        try:
            done, _ = await asyncio.wait(
                [watching, stopped],
                timeout=seconds + self._times.request_timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            watching.cancel()
            stopped.cancel()
        if watching in done:
            self._saw(watching.result())
        elif not done:
            raise LeaseUnavailable("no answer in time")

    async def _take_epoch(self) -> Leadership | None:
        """Raise the epoch for the lease just won; without one there is no leadership."""
        record, renewed_at = self._view.record, self._view.renewed_at
        if record is None or renewed_at is None:
            return None
        try:
            await reach(Failpoint.K18)
            # Longer than other calls: whoever led before may have to be cut off first. What is left of the right to
            # act must do for a renewal.
            async with asyncio.timeout(self._times.renew_deadline - self._times.request_timeout):
                epoch = await self._fence.take(
                    holder=self.identity, lease_uid=record.uid, transitions=record.transitions
                )
        except (LeaseUnavailable, OSError) as error:  # TimeoutError is one
            why = str(error) or "no answer in time"
            log.warning("the lease was won, but not the epoch", extra={"event": "epoch_missed", "error": why})
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
        self._announce(Moment.LEADER_ELECTED, f"{self.identity} leads under epoch {leadership.epoch}")
        pauses = 1
        working = asyncio.create_task(_run(work, leadership), name="duties")
        try:
            handed = await self._hold(leadership, working)
            if handed is not None:
                log.info("asked to hand over", extra={"event": "hand_over", "to": handed})
                pauses = 2  # the other one is to be first
        except LeadershipLost as lost:
            log.warning("leading no more: %s", lost, extra={"event": "leadership_lost", "why": str(lost)})
            self._announce(Moment.LEADERSHIP_LOST, f"{self.identity} leads no more: {lost}")
        finally:
            by_itself = working.done() and leadership.valid
            leadership.end()
            self.standing.epoch = None
            metrics.LEADER.set(0)
            metrics.LEADER_EPOCH.set(0)
            working.cancel()
            await self._ended(working)
        self._report(working, by_itself=by_itself)
        await self._release()
        pause = pauses * self._times.retry_period * random.uniform(1, 1 + JITTER)
        self._view = replace(self._view, abstains_until=self._now() + pause)

    async def _hold(self, leadership: Leadership, working: asyncio.Task[None]) -> str | None:
        """Renew until stopped or until the work has ended by itself; return to whom to hand over, if so wished.

        Raises LeadershipLost.
        """
        began = self._now()
        while not working.done() and not self._stopping.is_set():
            self._view = replace(self._view, heard_at=max(began, self._heard_at()))
            match step(self._view, self._now(), self._times):
                case Renew(seen):
                    await self._renew(seen, leadership)
                case Lost(why):
                    raise LeadershipLost(why)
                case HandOver(to):
                    return to
                case found:
                    await self._pause_until(getattr(found, "until", self._now()), working)
        if not leadership.valid:
            raise LeadershipLost("the right to act ended before the lease was renewed")  # and the work knew it first
        return None

    async def _ended(self, working: asyncio.Task[None]) -> None:
        """Wait for the end of the work, however long it takes: whoever works on must not give the lease back."""
        while not working.done():
            await asyncio.wait([working], timeout=self._times.lease_duration)
            if not working.done():
                log.error("the duties were told to end and do not", extra={"event": "duties_do_not_end"})

    async def _renew(self, seen: Record, leadership: Leadership) -> None:
        try:
            await self._write(self._replace(seen, seen.transitions), within=leadership.remaining_seconds)
            leadership.extend(right_to_act_ends(self._view.renewed_at or 0.0, self._times))
            return
        except LeaseConflict:
            metrics.LEADER_RENEW_FAILURES.labels("conflict").inc()
        except LeaseUnavailable as error:
            metrics.LEADER_RENEW_FAILURES.labels("unavailable").inc()
            self._complain(error)
            await self._pause_until(self._now() + min(self._times.retry_period / 4, leadership.remaining_seconds))
        try:
            # Our write may have arrived although its answer did not: the version that is there now tells.
            await self._read(within=leadership.remaining_seconds)
        except LeaseUnavailable as error:
            log.debug("the lease cannot be read", extra={"event": "lease_unavailable", "error": str(error)})

    def _replace(self, seen: Record, transitions: int) -> Awaitable[Record]:
        return self._lease.replace(
            seen, holder=self.identity, duration_seconds=self._times.lease_duration, transitions=transitions
        )

    async def _read(self, *, within: float = inf) -> None:
        self._saw(await self._bounded(self._lease.get(), within))

    def _saw(self, record: Record | None) -> None:
        self._view = self._view.saw(record, self._now())
        self._show()

    async def _write(self, writing: Awaitable[Record], *, within: float = inf) -> None:
        sent_at = self._now()
        record = await self._bounded(writing, within)
        self._view = self._view.wrote(record, sent_at)
        metrics.LEADER_RENEW_SECONDS.observe(self._now() - sent_at)
        self._complaint = ""
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
                self._announce(Moment.LEADER_RELEASED, f"{self.identity} gives back win {record.transitions}")
                return
            except LeaseConflict:
                continue

    async def _bounded(self, call: Awaitable[T], within: float) -> T:
        """Wait as long as a call may take, but no longer than its answer would be of use."""
        try:
            async with asyncio.timeout(min(self._times.request_timeout, within)):
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

    def _report(self, working: asyncio.Task[None], *, by_itself: bool) -> None:
        """Say why the work ended. by_itself: before it was told to, and while it had the right to act."""
        error = None if working.cancelled() else working.exception()
        if isinstance(error, LeadershipLost):
            if by_itself:
                metrics.LEADER_FENCED_OUT.inc()
                log.warning("the database knows a later leader", extra={"event": "fenced_out", "why": str(error)})
                self._announce(Moment.FENCED_OUT, f"{self.identity} was fenced out: {error}")
            else:
                log.info("the duties ended: %s", error, extra={"event": "duties_ended"})
        elif error is not None:
            log.error("the duties failed", exc_info=error, extra={"event": "duties_failed"})

    def _complain(self, error: LeaseUnavailable) -> None:
        """Say once that the lease cannot be reached, and again when the reason changes."""
        new = str(error) != self._complaint
        self._complaint = str(error)
        facts = {"event": "lease_unavailable", "error": str(error)}
        log.log(logging.WARNING if new else logging.DEBUG, "the lease cannot be reached: %s", error, extra=facts)


async def _run(work: Work, leadership: Leadership) -> None:
    await work(leadership)
