"""What the duties of the table run."""

from __future__ import annotations

from leader.duties import Work
from ratchet.execution import endofday, reconcile, recover, retention
from ratchet.runtime import Runtime


async def _reconcile(rt: Runtime, epoch: int) -> str:
    results = await reconcile.run(rt, leader_epoch=epoch)
    findings = sum(len(result.findings) for result in results.values())
    return f"{len(results)} of {len(rt.portfolio.accounts)} accounts compared, {findings} findings"


WORK = Work(
    recover=lambda rt, epoch: recover.run(rt, leader_epoch=epoch),
    reconcile=_reconcile,
    end_of_day=lambda rt, epoch: endofday.run(rt, leader_epoch=epoch),
    housekeeping=lambda rt, epoch: retention.run(rt, leader_epoch=epoch),
)
