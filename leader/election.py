"""Who leads, as a pure decision: what a process knows of the lease, the present instant, and what it does next.

Instants are seconds of a clock that no wall clock disturbs and that counts suspended time. A record is judged by when
this process saw it change, never by a time that another machine wrote into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from leader.lease import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """All in seconds. lease_duration > renew_deadline + request_timeout, so that a holder stops before others start."""

    lease_duration: int
    renew_deadline: float
    retry_period: float
    request_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one process knows.

    unchanged_since: when it first saw the record as it is. renewed_at: while it leads, when it sent the last write
    that succeeded; None while it does not lead.
    """

    identity: str
    record: Record | None = None
    unchanged_since: float = 0.0
    renewed_at: float | None = None

    def saw(self, record: Record | None, now: float) -> View:
        """Return the view after a read."""
        if record == self.record:
            return self
        return replace(self, record=record, unchanged_since=now)

    def wrote(self, record: Record, sent_at: float) -> View:
        """Return the view after a write of ours that succeeded and was sent at `sent_at`: we lead."""
        return replace(self, record=record, unchanged_since=sent_at, renewed_at=sent_at)

    def stepped_down(self) -> View:
        """Return the view of one who leads no more."""
        return replace(self, renewed_at=None)


@dataclass(frozen=True, slots=True)
class Create:
    """There is no lease: make it."""


@dataclass(frozen=True, slots=True)
class Take:
    """The lease is free or has run out: write our name over this version. transitions: what to write."""

    seen: Record
    transitions: int


@dataclass(frozen=True, slots=True)
class Renew:
    """We hold it and its time to renew has come."""

    seen: Record


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`."""

    until: float


@dataclass(frozen=True, slots=True)
class Lost:
    """We led and may not any more."""

    why: str


Step = Create | Take | Renew | Wait | Lost


def nobody(_holder: str) -> bool:
    """Return False: no holder is proven dead."""
    return False


def step(view: View, now: float, times: Times, proven_dead: Callable[[str], bool] = nobody) -> Step:
    """Return what to do now.

    proven_dead: whether the process of that holder identity is known to run no more; its lease need not run out.
    """
    if view.renewed_at is not None:
        return _while_leading(view, view.renewed_at, now, times)
    record = view.record
    if record is None:
        return Create()
    runs_out = view.unchanged_since + record.duration_seconds
    # A lease in our own name that we do not lead by is an older win of ours that ended: taken again, it counts anew.
    if not record.holder or record.holder == view.identity or now >= runs_out or proven_dead(record.holder):
        return Take(record, record.transitions + 1)
    return Wait(min(runs_out, now + times.retry_period))


def right_to_act_ends(renewed_at: float, times: Times) -> float:
    """Return when a holder must have stopped, unless it renews again."""
    return renewed_at + times.renew_deadline


def _while_leading(view: View, renewed_at: float, now: float, times: Times) -> Step:
    if view.record is None:
        return Lost("the lease was deleted")
    if view.record.holder != view.identity:
        return Lost(f"the lease is held by {view.record.holder or 'nobody'}")
    if now >= right_to_act_ends(renewed_at, times):
        return Lost("the lease could not be renewed in time")
    due = renewed_at + times.retry_period
    return Renew(view.record) if now >= due else Wait(due)
