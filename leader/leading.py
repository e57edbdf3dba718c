"""Leads when it is this process's turn: the elector and the schedule together, as a part of any process.

The election has a thread and an event loop of its own: duties that keep their loop busy do not delay a renewal, and
duties whose loop stands still are not renewed for.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from leader.announcing import Announce, Moment, to_nobody
from leader.crossing import Pulse, loop_of_its_own, run_on, tell
from leader.database_lease import PATIENCE_SECONDS, DatabaseFence
from leader.deaths import everybody, evidence
from leader.duties import Work, table
from leader.election import Times
from leader.elector import Elector
from leader.leadership import Leadership
from leader.place import Candidate, identity_of, opened, session_of
from leader.schedule import Schedule
from leader.schema import until_there
from leader.standing import Standing
from ratchet.bootstrap import database_observed
from ratchet.clock import boottime
from ratchet.config.duties import LeaderSettings
from ratchet.observability import metrics
from ratchet.observability.probes import Verdict
from ratchet.persistence.database import Database
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

ELECTION_CONNECTIONS = 3
"""For the lease, for the epoch, and for a look at who holds it up."""


class Leader:
    """Stands by, and leads in turn with the other processes on the same database.

    alone: nobody else can be alive on this database (the embedded mode holds a lock on its folder), so that the lease
    of a process that was killed need not run out.

    Everything here belongs to the loop of `run`, except what says that it is the election's.
    """

    def __init__(self, rt: Runtime, work: Work, *, alone: bool = False) -> None:
        self._rt = rt
        self._alone = alone
        self._settings = rt.settings.leader
        self.identity = identity_of(rt.settings, rt.boot_id)
        self.standing = Standing()
        self.schedule = Schedule(table(rt, work, DatabaseFence(rt.db), self._announce), rt.clock)
        self._elector: Elector | None = None
        self._election_loop: asyncio.AbstractEventLoop | None = None
        self._told: Announce = to_nobody
        self._beside: Callable[[Leadership, Announce], Awaitable[None]] | None = None
        self._asked_to_stop = False
        self._work_pulse = Pulse()
        self._election_pulse = Pulse()
        metrics.LEADER_LEASE_REMAINING.set_function(self._lease_remaining)

    @property
    def leads(self) -> bool:
        """Whether this process leads now."""
        return self.standing.epoch is not None

    async def run(self) -> None:
        """Stand by and lead until stopped; the lease is given back after the duties have ended.

        A cancellation ends the duties too, and leaves the lease to run out.
        """
        async with loop_of_its_own("election") as there:
            self._election_loop = there
            try:
                await run_on(there, partial(self._elect, asyncio.get_running_loop()))
            finally:
                self._election_loop = None

    def stop(self) -> None:
        """Ask for an orderly end."""
        self._asked_to_stop = True
        # One of the two sees the other: the elector is made known before it looks whether it was asked.
        if self._elector is not None and self._election_loop is not None:
            tell(self._election_loop, self._elector.stop)

    async def _elect(self, work_loop: asyncio.AbstractEventLoop) -> None:
        """Take part in the election, on its own loop."""
        rt, here = self._rt, asyncio.get_running_loop()
        options = replace(
            rt.db.options,
            application_name=session_of(rt.settings, rt.boot_id),
            pool_size=ELECTION_CONNECTIONS,
            report_pool_size=1,
            lock_timeout_seconds=self._settings.renew_deadline_seconds,
            busy_timeout_seconds=self._settings.request_timeout_seconds,
        )
        db = Database(options, clock=rt.clock, observe=database_observed)
        beating = asyncio.create_task(
            self._election_pulse.beat(rt.clock, self._settings.retry_period_seconds), name="election's heartbeat"
        )
        try:
            every = self._settings.retry_period_seconds
            await until_there(db, rt.clock, every=every, stopped=lambda: self._asked_to_stop)
            me = Candidate(rt=rt, db=db, identity=self.identity, standing=self.standing)
            async with opened(me) as place:

                def told(moment: Moment, sentence: str) -> None:
                    tell(here, place.announce, moment, sentence)

                self._beside, self._told = place.beside, told
                elector = self._elector = Elector(
                    lease=place.lease,
                    fence=DatabaseFence(db, patience=min(PATIENCE_SECONDS, self._settings.renew_deadline_seconds / 4)),
                    identity=self.identity,
                    times=times(self._settings),
                    clock=rt.clock,
                    proven_dead=everybody if self._alone else evidence(db, self.identity, self._settings.pod_uid),
                    announce=place.announce,
                    standing=self.standing,
                    heard_at=lambda: self._work_pulse.at,
                )
                if self._asked_to_stop:
                    elector.stop()
                await elector.run(lambda leadership: run_on(work_loop, partial(self._work, leadership)))
        finally:
            beating.cancel()
            await _closed(db, rt.settings.drain.lifespan_seconds)

    def _announce(self, moment: Moment, sentence: str) -> None:
        self._told(moment, sentence)

    async def _work(self, leadership: Leadership) -> None:
        """Do the duties, with what goes beside them, and give signs of life."""
        beats = self._work_pulse.beat(
            self._rt.clock, self._settings.retry_period_seconds / 2, if_=lambda: not self.schedule.stuck
        )
        aside = [asyncio.ensure_future(beats)]
        if self._beside is not None:
            aside.append(asyncio.ensure_future(self._beside(leadership, self._announce)))
        try:
            await self.schedule.run(leadership)
        finally:
            for task in aside:
                task.cancel()
            await asyncio.wait(aside)
            for task in aside:
                if not task.cancelled() and (error := task.exception()) is not None:
                    log.error("the leader was not shown", exc_info=error, extra={"event": "beside_failed"})
            _clear_figures()

    def alive(self) -> Verdict:
        """Whether this process works: its election goes on, no duty is stuck, and if it leads, it has renewed in time.

        That the loop of its duties goes on is shown by the answer.
        """
        limit = self._settings.lease_duration_seconds + self._settings.liveness_margin_seconds
        quiet = self._election_loop is not None and self._election_pulse.silent_seconds >= limit
        works = not quiet and not self.schedule.stuck
        renewed_at = self.standing.renewed_at
        if not self.leads or renewed_at is None:
            return Verdict(works, {"leads": False})
        silent = boottime() - renewed_at
        return Verdict(works and silent < limit, {"leads": True, "renewed_seconds_ago": round(silent, 3)})

    def facts(self) -> Mapping[str, Any]:
        """Return what people want to know of the leadership and its duties."""
        standing = self.standing
        return {
            "identity": self.identity,
            "leads": self.leads,
            "epoch": standing.epoch,
            "holder": standing.holder,
            "transitions": standing.transitions,
            "duties": {
                name: {
                    "at": last.started_at,
                    "took_seconds": round(last.took, 3),
                    "ended": last.ending,
                    "found": last.found,
                }
                for name, last in self.schedule.last.items()
            },
        }

    def _lease_remaining(self) -> float:
        renewed_at = self.standing.renewed_at
        if renewed_at is None:
            return 0.0
        return max(0.0, renewed_at + self._settings.lease_duration_seconds - boottime())


async def _closed(db: Database, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await db.close()
    except TimeoutError:
        log.warning("the election's database was not closed in time", extra={"event": "close_timed_out"})


def _clear_figures() -> None:
    """Show no more what only the duties know: the next leader shows it, and two would be added up."""
    metrics.OLDEST_WAITING_SECONDS.set(math.nan)
    for figures in (
        metrics.SIGNALS_WAITING,
        metrics.INTENTS,
        metrics.INCIDENTS_OPEN,
        metrics.EQUITY,
        metrics.OPEN_LAYERS,
    ):
        figures.clear()


def times(settings: LeaderSettings) -> Times:
    """Return the times of the election; the lease lasts a whole number of seconds, rounded up."""
    return Times(
        lease_duration=math.ceil(settings.lease_duration_seconds),
        renew_deadline=settings.renew_deadline_seconds,
        retry_period=settings.retry_period_seconds,
        request_timeout=settings.request_timeout_seconds,
    )
