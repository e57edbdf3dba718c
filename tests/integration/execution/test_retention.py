"""Housekeeping: months ahead exist, what has ended long ago goes, what is open or young stays."""

from datetime import timedelta

from sqlalchemy import select

from ratchet.domain.signals import SignalStatus
from ratchet.execution import retention
from ratchet.persistence import instances
from ratchet.persistence.tables import signal_log
from ratchet.runtime import Runtime
from tests.contract.persistence.rows import add_signal


async def test_only_ended_signals_past_retention_are_forgotten(rt: Runtime) -> None:
    keep = timedelta(days=rt.settings.execution.retention_days)
    async with rt.db.transaction() as tx:
        now = await tx.now()
        for name, status, age in (
            ("old and ended", SignalStatus.EXECUTED, keep + timedelta(days=70)),
            ("old and open", SignalStatus.PROCESSING, keep + timedelta(days=70)),
            ("old and with a person", SignalStatus.REVIEW, keep + timedelta(days=70)),
            ("young and ended", SignalStatus.EXECUTED, keep - timedelta(days=1)),
        ):
            await add_signal(tx, status, fingerprint=name, signal_ts=(now - age).replace(microsecond=0))
    await retention.run(rt)
    async with rt.db.transaction() as tx:
        left = {row["fingerprint"] for row in await tx.all(select(signal_log.c.fingerprint))}
    assert left == {"old and open", "old and with a person", "young and ended"}


async def test_it_is_safe_to_repeat(rt: Runtime) -> None:
    await retention.run(rt)
    again = await retention.run(rt)
    assert (again.made, again.dropped, again.forgotten) == ([], [], 0)


async def test_a_process_that_stopped_lately_is_remembered(rt: Runtime) -> None:
    async with rt.db.transaction() as tx:
        await instances.start(tx, boot_id="b", role="service", host="h", version="1", pod=None, lock_file=None)
        await instances.stop(tx, "b")
    assert (await retention.run(rt)).forgotten == 0
