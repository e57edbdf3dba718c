"""The table of what a leader does: which duty, how often, and how long one run may take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from leader.announcing import Announce, to_nobody
from leader.database_lease import DatabaseFence
from leader.door import behind_the_door
from leader.leadership import Leadership, LeadershipLost
from leader.schedule import Duty
from ratchet.observability import context
from ratchet.persistence.leases import FencedOut
from ratchet.runtime import Runtime

Run = Callable[[Runtime, Leadership, Announce], Awaitable[object]]
"""One pass of a duty, by this right to act, telling what people should know.

Its runtime stands behind the door, where a later leader shuts it out. It is safe to repeat, to cancel, and to run in
two processes at once.
"""

RECOVERY_SECONDS = 60.0
RECONCILIATION_SECONDS = 50.0
END_OF_DAY_SECONDS = 60.0
ROLLOVER_SECONDS = 300.0
FIGURES_SECONDS = 50.0
HOUSEKEEPING_SECONDS = 120.0

END_OF_DAY_EVERY_SECONDS = 5.0
"""How often the clock is compared with the sessions' ends; what is due is done once, however often it is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the duties run.

    recover: takes up what dead processes left. reconcile: compares the broker's books with ours, and opens sending
    after an audit. end_of_day: what is due before a session's end. rollover: layers leave contracts that near
    their expiry. figures: the days' statistics, the curve of equity, alarms for what stays away. housekeeping:
    partitions ahead, old rows dropped.
    """

    recover: Run
    reconcile: Run
    end_of_day: Run
    rollover: Run
    figures: Run
    housekeeping: Run


def _first(lost: BaseExceptionGroup[Exception]) -> str:
    error: BaseException = lost
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


def table(rt: Runtime, work: Work, fence: DatabaseFence, announce: Announce = to_nobody) -> tuple[Duty, ...]:
    """Return the duties. A new leader recovers and reconciles before all else."""
    times = rt.settings.leader

    def fenced(run: Run) -> Callable[[Leadership], Awaitable[object]]:
        async def once(leadership: Leadership) -> object:
            await fence.check(leadership)
            with context.bound(epoch=leadership.epoch):
                try:
                    return await run(behind_the_door(rt, leadership), leadership, announce)
                except* (FencedOut, LeadershipLost) as lost:  # one of several tasks of a duty may have found it
                    raise LeadershipLost(_first(lost)) from lost

        return once

    return (
        Duty(
            name="recover",
            every=times.recovery_seconds,
            deadline=RECOVERY_SECONDS,
            run=fenced(work.recover),
            first=True,
        ),
        Duty(
            name="reconcile",
            every=times.reconcile_seconds,
            deadline=RECONCILIATION_SECONDS,
            run=fenced(work.reconcile),
            first=True,
        ),
        Duty(
            name="end_of_day",
            every=END_OF_DAY_EVERY_SECONDS,
            deadline=END_OF_DAY_SECONDS,
            run=fenced(work.end_of_day),
        ),
        Duty(
            name="rollover",
            every=times.rollover_seconds,
            deadline=ROLLOVER_SECONDS,
            run=fenced(work.rollover),
        ),
        Duty(
            name="figures",
            every=times.figures_seconds,
            deadline=FIGURES_SECONDS,
            run=fenced(work.figures),
        ),
        Duty(
            name="housekeeping",
            every=times.housekeeping_seconds,
            deadline=HOUSEKEEPING_SECONDS,
            run=fenced(work.housekeeping),
        ),
    )
