"""After the damage: every signal ends or is held by a person, and then nothing may be violated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import aiohttp
from sqlalchemy import Date, bindparam, func, select

from ratchet.brokers.base import BrokerError
from ratchet.domain.calendar import IST
from ratchet.persistence import audits
from ratchet.persistence.errors import PersistenceError
from ratchet.persistence.tables import incident, lane, order_intent, positions, rollover, signal_log
from ratchet.runtime import Runtime
from tests.harness import Delivery, violations
from tests.servers.waiting import eventually
from tests.soak.acts import Acts
from tests.soak.schedule import DUE_DAYS

REST_SECONDS = 45.0
SETTLE_SECONDS = 6.0
"""How long the leader may take to name what it finds: a few intervals of reconciliation."""
_LOOKS = 3

_DUE = select(
    positions.c.id, positions.c.account, positions.c.instrument, positions.c.expiry, positions.c.rollover_status
).where(
    positions.c.status == "open",
    positions.c.expiry < bindparam("before", type_=Date),
    positions.c.rollover_status != "failed",
)
_UNDER_WAY = (
    select(rollover.c.id, positions.c.account, positions.c.instrument, rollover.c.state)
    .join(positions, positions.c.id == rollover.c.position_id)
    .where(rollover.c.state.in_(["pending", "in_progress"]))
)
_HELD_LANES = select(lane.c.account, lane.c.instrument).where(lane.c.hold == "review")

Finding = dict[str, Any]


async def at_rest(rt: Runtime, *, within: float = REST_SECONDS, rolls: bool = False) -> list[Finding]:
    """Wait until every signal has ended, is in review, or stands behind a review; return those that do not.

    rolls: every layer has to leave its contract: wait for that too.
    """
    deadline = asyncio.get_running_loop().time() + within
    left: list[Finding] = []
    while asyncio.get_running_loop().time() < deadline:
        try:
            left = await _unfinished(rt) or (await _not_rolled(rt) if rolls else [])
        except PersistenceError:
            left = [{"database": "away"}]
        if not left:
            return []
        await asyncio.sleep(0.1)
    return left


async def _unfinished(rt: Runtime) -> list[Finding]:
    async with rt.db.reading(name="soak") as tx:
        rows = await audits.overdue(tx, before=await tx.now())
        held = {(row["account"], row["instrument"]) for row in await audits.in_review(tx) if row["has_incident"]}
    return [dict(row) for row in rows if (row["account"], row["instrument"]) not in held]


async def _not_rolled(rt: Runtime) -> list[Finding]:
    """Return the layers still in a contract that is due and the rolls under way, but for what a person has to see."""
    before = rt.clock.now().astimezone(IST).date() + timedelta(days=DUE_DAYS)
    async with rt.db.reading(name="soak") as tx:
        due = [*await tx.all(_DUE, before=before), *await tx.all(_UNDER_WAY)]
        held = {(row["account"], row["instrument"]) for row in await tx.all(_HELD_LANES)}
    return [dict(row) for row in due if (row["account"], row["instrument"]) not in held]


async def audit(rt: Runtime, *, within: float = SETTLE_SECONDS) -> list[Finding]:
    """Return the violated invariants that stay violated: at several looks, on a machine however busy."""
    deadline = asyncio.get_running_loop().time() + within
    looks = 0
    while True:
        looks += 1
        try:
            found = [asdict(finding) for finding in await violations(rt)]
        except (PersistenceError, BrokerError, aiohttp.ClientError) as error:
            found = [{"invariant": "audit", "meaning": "the audit can be made", "count": 1, "rows": [str(error)]}]
        if not found or (looks >= _LOOKS and asyncio.get_running_loop().time() > deadline):
            return found
        await asyncio.sleep(0.3)


async def led(acts: Acts, *, within: float = REST_SECONDS) -> bool:
    """Return whether somebody leads in the end."""
    try:
        await eventually(lambda: bool(acts.leading), within=within)
    except AssertionError:
        return False
    return True


async def lost(rt: Runtime, answered: Sequence[Delivery]) -> list[Finding]:
    """Return the signals that were answered with a 2xx and are not stored."""
    async with rt.db.single(name="soak") as tx:
        stored = {str(row["id"]) for row in await tx.all(select(signal_log.c.id))}
    return [{"lost": delivery.id} for delivery in answered if delivery.id not in stored]


async def counts(rt: Runtime) -> dict[str, dict[str, int]]:
    """Return how signals and orders have ended, and what people were called for."""
    found = {}
    async with rt.db.reading(name="soak") as tx:
        for name, column in (
            ("signals", signal_log.c.status),
            ("reasons", signal_log.c.reason),
            ("orders", order_intent.c.state),
            ("rolls", rollover.c.state),
            ("incidents", incident.c.kind),
        ):
            rows = await tx.all(select(column.label("state"), func.count().label("n")).group_by(column))
            found[name] = {str(row["state"]): row["n"] for row in rows}
    return found


def finding(invariant: str, meaning: str, rows: Sequence[Any]) -> list[Finding]:
    """Return rows as a finding, nothing if there are none."""
    return [{"invariant": invariant, "meaning": meaning, "count": len(rows), "rows": list(rows)[:20]}] if rows else []
