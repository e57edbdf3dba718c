"""What the duties of the table run."""

from __future__ import annotations

from leader.duties import Work
from leader.leadership import Leadership
from ratchet.execution import endofday, figures, reconcile, recover, retention, rollover
from ratchet.runtime import Runtime


async def _reconcile(rt: Runtime, leadership: Leadership) -> str:
    results = await reconcile.run(rt, leader_epoch=leadership.epoch)
    findings = sum(len(result.findings) for result in results.values())
    return f"{len(results)} of {len(rt.portfolio.accounts)} accounts compared, {findings} findings"


WORK = Work(
    recover=lambda rt, leadership: recover.run(rt, leader_epoch=leadership.epoch),
    reconcile=_reconcile,
    end_of_day=lambda rt, leadership: endofday.run(rt, leader_epoch=leadership.epoch),
    rollover=lambda rt, leadership: rollover.run(rt, leader_epoch=leadership.epoch, may_act=leadership.check),
    figures=lambda rt, leadership: figures.run(rt, leader_epoch=leadership.epoch),
    housekeeping=lambda rt, leadership: retention.run(rt, leader_epoch=leadership.epoch),
)
