"""Exits: one layer or all of them, before anything else of their instrument, until flat.

An exit is never refused for price or age. It takes its layers once (open -> closing), closes what is known to be open
at once, and waits for entries that were accepted before it, to close what those turn out to have filled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ratchet.domain.checks import Quote
from ratchet.domain.instruments import Contract
from ratchet.domain.ladder import exit_rung, unquoted_limit
from ratchet.domain.orders import Intent, IntentState
from ratchet.domain.positions import Layer, LayerStatus
from ratchet.domain.refusals import Reason
from ratchet.domain.signals import ALL, SignalStatus
from ratchet.execution import closing
from ratchet.execution.follow import Ladder, follow
from ratchet.execution.markets import Markets, is_option
from ratchet.execution.resolve import resolve
from ratchet.execution.submit import submit
from ratchet.execution.turns import BUSY_SECONDS, DONE, Again, Turn
from ratchet.failpoints import Failpoint, reach
from ratchet.persistence import claims, incidents, intents, lanes, layers, signals
from ratchet.persistence.claims import Claim
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

CLOSE = "close"
"""Begins the leg's name of an exit's orders."""
_STEPS_A_TURN = 50
_REVIEW_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Over:
    """Nothing is left to do: the exit ends with this reason."""

    reason: Reason


async def advance(rt: Runtime, markets: Markets, claim: Claim) -> Turn:
    """Take an exit as far as it goes now."""
    for _ in range(_STEPS_A_TURN):
        found = await _intents(rt, claim)
        if any(i.state is IntentState.REVIEW for i in found):
            return await to_review(rt, claim, "an order of this exit is in review")
        flying = sorted((i for i in found if i.in_flight), key=lambda i: i.state is IntentState.PENDING)
        if flying:
            turn = await drive(rt, markets, claim, flying[0])
        else:
            turn = await _next(rt, markets, claim, found)
        if turn is not None:
            return turn
    return Again(0.0, "many steps in one turn")


async def drive(rt: Runtime, markets: Markets, claim: Claim, intent: Intent) -> Turn | None:
    """Take one closing order further; None when it changed."""
    option = is_option(rt.instrument(claim.instrument))
    rules = rt.portfolio.ladder

    def limit(rung: int, quote: Quote) -> Decimal:
        return exit_rung(i=rung, quote=quote, side=intent.side, tick=intent.tick, rules=rules, is_option=option).price

    match intent.state:
        case IntentState.PENDING:
            closed = await _closed_until(rt, markets, claim, intent.exchange)
            if closed is not None:
                return closed
            answer = await submit(
                rt,
                markets,
                claim,
                intent,
                price_of=lambda quote: limit(0, quote),
                opening=False,
                unquoted=lambda last: unquoted_limit(last=last, side=intent.side, tick=intent.tick, rules=rules),
            )
            return None if isinstance(answer, Reason) else answer
        case IntentState.WORKING:
            return await follow(rt, markets, claim, intent, Ladder(price=limit, wait_seconds=rules.rung_seconds))
        case _:
            return await resolve(rt, markets, claim, intent)


async def contracts_of(rt: Runtime, markets: Markets, account: str, held: Sequence[Layer]) -> dict[str, Contract]:
    """Return the contracts that layers hold, by symbol, as the broker lists them."""
    symbols = {h.symbol: h.exchange for layer in held for h in layer.holdings if h.quantity}
    async with asyncio.TaskGroup() as group:
        reads = {
            symbol: group.create_task(markets.contract(account, exchange, symbol))
            for symbol, exchange in symbols.items()
        }
    return {symbol: read.result() for symbol, read in reads.items()}


async def _intents(rt: Runtime, claim: Claim) -> list[Intent]:
    async with rt.db.single(name="read-exit") as tx:
        return await intents.of_origin(tx, claim.account, claim.fingerprint)


async def _next(rt: Runtime, markets: Markets, claim: Claim, found: list[Intent]) -> Turn | None:
    """Plan the next closing order, wait for earlier entries, or end."""
    async with rt.db.single(name="read-layers") as tx:
        held = await layers.live_of_lane(tx, claim.account, claim.instrument)
    contracts = await contracts_of(rt, markets, claim.account, held)
    await reach(Failpoint.K4 if not found else Failpoint.K16)

    async def work(tx: Transaction) -> closing.Plan | _Over:
        lane = await claims.hold(tx, claim)
        if lane.hold == "rollover":
            return closing.Later(BUSY_SECONDS, "a roll ends its step first")
        mine = await _take(tx, claim)
        plan = await closing.plan_next(tx, rt, claim, found, mine, contracts, prefix=CLOSE)
        if not isinstance(plan, closing.Flat):
            return plan
        earlier = await signals.earlier_entry(tx, claim)
        if earlier is SignalStatus.REVIEW:
            return closing.Later(_REVIEW_SECONDS, "an earlier entry is in review; its end wakes this exit")
        if earlier is not None:
            return closing.Later(BUSY_SECONDS, "an earlier entry may still fill")
        reason = Reason.CLOSED if found else Reason.NO_OPEN_POSITION
        filled = sum(i.filled for i in found)
        await signals.end(
            tx, claim, status=reason.status, reason=reason.code, actor=rt.boot_id, detail={"units": filled}
        )
        return _Over(reason)

    plan = await rt.db.run(work, name="t2-exit")
    match plan:
        case closing.Planned():
            await reach(Failpoint.K5)
            return None
        case closing.Later(seconds, why):
            return Again(seconds, why)
        case closing.Stuck(why):
            return await to_review(rt, claim, why)
        case _:
            return DONE


async def _take(tx: Transaction, claim: Claim) -> list[Layer]:
    """Take the layers that this exit names and nobody has taken; return all that it has, newest first."""
    live = await layers.live_of_lane(tx, claim.account, claim.instrument)
    named = [
        layer
        for layer in live
        if claim.position in (ALL, layer.name) and layer.status is LayerStatus.OPEN and layer.signal_ts <= claim.stamp
    ]
    for layer in named:
        await layers.take_for_exit(tx, layer, by=claim.fingerprint, reason=str(claim.payload.get("reason", "")))
    taken = await layers.taken_by(tx, claim.account, claim.instrument, claim.fingerprint)
    mine = [layer for layer in live if layer.id in taken]
    return sorted(mine, key=lambda layer: -layer.number)


async def _closed_until(rt: Runtime, markets: Markets, claim: Claim, exchange: str) -> Again | None:
    """Outside the session an exit waits for the next open."""
    if await markets.is_open(claim.account, exchange):
        return None
    opens = await markets.next_open(claim.account, exchange)
    now = rt.clock.now()
    seconds = 60.0 if opens is None else max(1.0, (opens - now).total_seconds())

    async def work(tx: Transaction) -> None:
        await signals.note(tx, claim, {"not_before": None if opens is None else opens.isoformat()})

    await rt.db.run(work, name="not-before")
    return Again(min(seconds, 3600.0), "the exchange is closed")


async def to_review(rt: Runtime, claim: Claim, why: str) -> Turn:
    """Leave an exit to a person, and keep entries out of the instrument."""

    async def work(tx: Transaction) -> None:
        await claims.hold(tx, claim)
        await incidents.open_incident(
            tx,
            account=claim.account,
            kind="exit_stuck",
            summary=why,
            actor=rt.boot_id,
            instrument=claim.instrument,
            signal_id=claim.id,
        )
        await lanes.hold(tx, claim.account, claim.instrument, reason="review", ref=str(claim.id))
        await signals.to_review(tx, claim, reason="review", actor=rt.boot_id, detail={"why": why})

    await rt.db.run(work, name="to-review")
    return DONE
