"""What the duties of the table run."""

from __future__ import annotations

from leader.duties import Work
from ratchet.execution import endofday, reconcile, recover, retention

WORK = Work(
    recover=lambda rt, epoch: recover.run(rt, leader_epoch=epoch),
    reconcile=lambda rt, epoch: reconcile.run(rt, leader_epoch=epoch),
    end_of_day=lambda rt, epoch: endofday.run(rt, leader_epoch=epoch),
    housekeeping=lambda rt, epoch: retention.run(rt, leader_epoch=epoch),
)
