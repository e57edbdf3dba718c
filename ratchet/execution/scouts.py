"""Scouts: EOD_MONITOR only refreshes the latest view of its instrument; the end-of-day duty decides from it."""

from __future__ import annotations

from ratchet.domain.refusals import Reason
from ratchet.execution.turns import DONE, Turn
from ratchet.persistence import claims, market, signals
from ratchet.persistence.claims import Claim
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime


async def advance(rt: Runtime, claim: Claim) -> Turn:
    """Store the view if it is newer than the stored one, and end the signal."""

    async def work(tx: Transaction) -> None:
        await claims.hold(tx, claim)
        seen = await market.read(tx, claim.account, claim.instrument)
        if seen.view_ts is None or seen.view_ts < claim.stamp:
            await market.set_view(tx, claim.account, claim.instrument, at=claim.stamp, view=claim.payload)
        reason = Reason.VIEW_REFRESHED
        await signals.end(tx, claim, status=reason.status, reason=reason.code, actor=rt.boot_id)

    await rt.db.run(work, name="view")
    return DONE
