"""What the duties of the table run."""

from __future__ import annotations

from leader.duties import Work
from ratchet.execution import endofday, reconcile, recover, retention

WORK = Work(recover=recover.run, reconcile=reconcile.run, end_of_day=endofday.run, housekeeping=retention.run)
