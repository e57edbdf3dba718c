"""The audit after the damage: all invariants, against the simulator's own book, and nothing left open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import select

from ratchet.brokers.openalgo.simulator_book import read_book
from ratchet.domain.signals import OPEN
from ratchet.execution import auditor
from ratchet.execution.auditor import Finding
from ratchet.persistence.tables import signal_log
from ratchet.runtime import Runtime
from tests.servers.waiting import eventually

BOOK_SECONDS = 5.0


async def violations(rt: Runtime) -> list[Finding]:
    """Return the violated invariants of an installation at rest; rt: any runtime on its database and simulator.

    Whatever is still open is a violation of I3: this is asked when everything should have ended.
    """
    broker = rt.settings.openalgo_api_key
    assert rt.settings.openalgo_url is not None and broker is not None
    base = broker.get_secret_value()
    default = sorted(set(rt.portfolio.accounts) - {name for name in rt.portfolio.accounts if name.startswith("load-")})
    keys = {name: f"{base}-{name}" for name in rt.portfolio.accounts if name.startswith("load-")}
    book = await read_book(
        rt.settings.openalgo_url,
        accounts={**keys, **dict.fromkeys(default, base)},
        base_key=base,
        clock=rt.clock,
        timeout_seconds=BOOK_SECONDS,
    )
    findings = await auditor.audit(rt, book=book, liveness_seconds=0.0)
    unasked = [finding for finding in findings if finding.skipped is not None]
    assert not unasked, f"not every invariant could be asked: {unasked}"
    return [finding for finding in findings if finding.count]


async def clean(rt: Runtime) -> None:
    """Raise AssertionError with every violation found."""
    found = await violations(rt)
    assert not found, "\n".join(f"{f.invariant} ({f.meaning}): {f.count}: {f.rows}" for f in found)


async def open_signals(rt: Runtime) -> list[dict[str, Any]]:
    """Return the signals that are still in work."""
    async with rt.db.reading(name="test") as tx:
        columns = (signal_log.c.id, signal_log.c.account, signal_log.c.kind, signal_log.c.status, signal_log.c.error)
        rows: Sequence[Any] = await tx.all(select(*columns).where(signal_log.c.status.in_([str(s) for s in OPEN])))
    return [dict(row) for row in rows]


async def at_rest(rt: Runtime, *, within: float = 30.0, tail: Callable[[], str] = str) -> None:
    """Wait until no signal is in work. Raises AssertionError with those that are; tail: more to say then."""
    left: list[dict[str, Any]] = []

    async def over() -> bool:
        left[:] = await open_signals(rt)
        return not left

    try:
        await eventually(over, within=within)
    except AssertionError:
        raise AssertionError(f"still open after {within} s: {left}\n{tail()}") from None
