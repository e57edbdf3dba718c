"""Who leads, as a pure decision: what a process knows of the lease, the present instant, and what it does next.

Instants are seconds of a clock that no wall clock disturbs and that counts suspended time. A record is judged by when
this process saw it change, never by a time that another machine wrote into it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from leader.lease import ANY, Record


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
    that succeeded; None while it does not lead. handed_to: for whom the lease was given back, if for somebody.
    free_from: until then the holder of a lease that was deleted under it may still act.
    heard_at: while it leads, when its work last gave a sign of life. abstains_until: having led, it leaves a free lease
    to others until then or until one of them has it, but watches it.
    """

    identity: str
    record: Record | None = None
    unchanged_since: float = 0.0
    renewed_at: float | None = None
    handed_to: str = ""
    free_from: float = 0.0
    heard_at: float = inf
    abstains_until: float = 0.0

    @property
    def pod(self) -> str:
        """The first part of the identity: what people call this process."""
        return self.identity.partition("_")[0]

    def saw(self, record: Record | None, now: float) -> View:
        """Return the view after a read."""
        if record == self.record:
            return self
        before = self.record
        seen = replace(self, record=record, unchanged_since=now, handed_to="")
        if before is None:
            return seen
        if record is not None and record.transitions != before.transitions:
            seen = replace(seen, abstains_until=0.0)  # another one has had it: that is what it was left free for
        if record is None and before.holder not in ("", self.identity):
            return replace(seen, free_from=self.unchanged_since + before.duration_seconds)
        if record is not None and not record.holder:
            return replace(seen, handed_to=before.hand_over_to)
        return seen

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


@dataclass(frozen=True, slots=True)
class HandOver:
    """We lead, and a person wants another one to: a pod, or ANY."""

    to: str


Step = Create | Take | Renew | Wait | Lost | HandOver


def step(view: View, now: float, times: Times, *, holder_is_dead: bool = False) -> Step:
    """Return what to do now.

    holder_is_dead: the process that the record names is proven to run no more; its lease need not run out.
    """
    if view.renewed_at is not None:
        return _while_leading(view, view.renewed_at, now, times)
    record = view.record
    if record is None:
        free_from = max(view.free_from, view.abstains_until)
        return Create() if now >= free_from else Wait(min(free_from, now + times.retry_period))
    runs_out = view.unchanged_since + record.duration_seconds
    first_go = view.unchanged_since + times.retry_period
    if not record.holder and view.handed_to not in ("", ANY, view.pod) and now < first_go:
        return Wait(first_go)
    # A lease in our own name that we do not lead by is an older win of ours that ended: taken again, it counts anew.
    free = not record.holder or record.holder == view.identity
    if free and now < view.abstains_until:
        return Wait(view.abstains_until)
    if free or now >= runs_out or holder_is_dead:
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
    if now >= view.heard_at + times.renew_deadline:
        return Lost("the work gives no sign of life")
    if view.record.hand_over_to not in ("", view.pod):
        return HandOver(view.record.hand_over_to)
    due = renewed_at + times.retry_period
    return Renew(view.record) if now >= due else Wait(due)
