"""What the duties of the table run."""

from __future__ import annotations

from leader.announcing import Announce, Moment
from leader.duties import Work
from leader.leadership import Leadership
from ratchet.execution import contract_check, endofday, figures, reconcile, recover, retention, rollover
from ratchet.runtime import Runtime


async def _reconcile(rt: Runtime, leadership: Leadership, announce: Announce) -> str:
    results = await reconcile.run(rt, leader_epoch=leadership.epoch)
    for account, result in sorted(results.items()):
        if not result.agree:
            contracts = ", ".join(f"{one.symbol} ({one.ours} here, {one.theirs} there)" for one in result.differences)
            announce(Moment.RECONCILIATION_MISMATCH, f"{account}: the broker's books differ in {contracts}")
    findings = sum(len(result.findings) for result in results.values())
    return f"{len(results)} of {len(rt.portfolio.accounts)} accounts compared, {findings} findings"


async def _clean_up(rt: Runtime, leadership: Leadership, announce: Announce) -> object:
    done = await retention.run(rt)
    if done.made or done.dropped or done.forgotten:
        counts = f"{len(done.made)} partitions made, {len(done.dropped)} dropped, {done.forgotten} processes forgotten"
        announce(Moment.CLEANUP_COMPLETED, counts)
    await contract_check.run(rt)
    return done


WORK = Work(
    recover=lambda rt, *_: recover.run(rt),
    reconcile=_reconcile,
    end_of_day=lambda rt, *_: endofday.run(rt),
    rollover=lambda rt, leadership, _: rollover.run(rt, leader_epoch=leadership.epoch, may_act=leadership.check),
    figures=lambda rt, *_: figures.run(rt),
    housekeeping=_clean_up,
)
