"""Leads when it is this process's turn: the elector and the schedule together, as a part of any process."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from leader.database_lease import DatabaseFence
from leader.deaths import everybody, evidence
from leader.duties import Work, table
from leader.election import Times
from leader.elector import Elector
from leader.leadership import Leadership
from leader.place import Place, in_database, opened
from leader.schedule import Schedule
from ratchet.clock import boottime
from ratchet.config.duties import LeaderSettings
from ratchet.observability import metrics
from ratchet.observability.probes import Verdict
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)


class Leader:
    """Stands by, and leads in turn with the other processes on the same database.

    alone: nobody else can be alive on this database (the embedded mode holds a lock on its folder), so that the lease
    of a process that was killed need not run out. place: where it is elected; the database, if nothing else is said.
    """

    def __init__(self, rt: Runtime, work: Work, *, alone: bool = False, place: Place | None = None) -> None:
        place = place or in_database(rt)
        fence = DatabaseFence(rt.db)
        self._settings = rt.settings.leader
        self._beside = place.beside
        self.schedule = Schedule(table(rt, work, fence, place.announce), rt.clock)
        self.elector = Elector(
            lease=place.lease,
            fence=fence,
            identity=place.identity,
            times=times(rt.settings.leader),
            clock=rt.clock,
            proven_dead=everybody if alone else evidence(rt, place.identity),
            announce=place.announce,
            standing=place.standing,
        )
        metrics.LEADER_LEASE_REMAINING.set_function(self._lease_remaining)

    @property
    def leads(self) -> bool:
        """Whether this process leads now."""
        return self.elector.standing.epoch is not None

    async def run(self) -> None:
        """Stand by and lead until stopped; the lease is given back after the duties have ended."""
        await self.elector.run(self._work)

    async def _work(self, leadership: Leadership) -> None:
        if self._beside is None:
            await self.schedule.run(leadership)
            return
        beside = asyncio.ensure_future(self._beside(leadership))
        try:
            await self.schedule.run(leadership)
        finally:
            beside.cancel()
            await asyncio.wait([beside])
            if not beside.cancelled() and (error := beside.exception()) is not None:
                log.error("the leader was not shown", exc_info=error, extra={"event": "beside_failed"})

    def stop(self) -> None:
        """Ask for an orderly end."""
        self.elector.stop()

    def alive(self) -> Verdict:
        """Whether this process works: one that stands by does; one that leads must have renewed in time."""
        standing = self.elector.standing
        if standing.epoch is None or standing.renewed_at is None:
            return Verdict(True, {"leads": False})
        silent = boottime() - standing.renewed_at
        limit = self._settings.lease_duration_seconds + self._settings.liveness_margin_seconds
        return Verdict(silent < limit, {"leads": True, "renewed_seconds_ago": round(silent, 3)})

    def facts(self) -> Mapping[str, Any]:
        """Return what people want to know of the leadership and its duties."""
        standing = self.elector.standing
        return {
            "identity": self.elector.identity,
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
        renewed_at = self.elector.standing.renewed_at
        if renewed_at is None:
            return 0.0
        return max(0.0, renewed_at + self._settings.lease_duration_seconds - boottime())


@asynccontextmanager
async def standing_by(rt: Runtime, work: Work) -> AsyncIterator[Leader]:
    """Hand out a leader at the place that the settings choose."""
    async with opened(rt) as place:
        yield Leader(rt, work, place=place)


def times(settings: LeaderSettings) -> Times:
    """Return the times of the election; the lease lasts a whole number of seconds, rounded up."""
    return Times(
        lease_duration=math.ceil(settings.lease_duration_seconds),
        renew_deadline=settings.renew_deadline_seconds,
        retry_period=settings.retry_period_seconds,
        request_timeout=settings.request_timeout_seconds,
    )
