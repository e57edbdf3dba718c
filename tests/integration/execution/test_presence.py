"""A process enters itself among the instances once, however many of its tasks do so."""

from __future__ import annotations

import pytest

from ratchet.execution.pod import Presence
from ratchet.persistence import instances
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime


async def test_two_tasks_that_enter_at_the_same_time_make_one_row(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    await Presence(rt, "leader").enter()

    async def too_early(tx: Transaction, boot_id: str) -> None:
        """Answer as before the other task's commit."""

    monkeypatch.setattr(instances, "get", too_early)
    await Presence(rt, "leader").enter()
    async with rt.db.single(name="test") as tx:
        assert [one.boot_id for one in await instances.everyone(tx)] == [rt.boot_id]
