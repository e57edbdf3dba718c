"""Bars: MARKET_DATA moves the stops, hits them, and peels what has outgrown its share.

The bar is applied once, in one transaction that also writes down what follows from it; a later turn goes on from there.
A hit enters as an ordinary EXIT stamped with its bar, so that N pods insert one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ratchet.domain.numbers import stored
from ratchet.domain.orders import Intent, IntentState
from ratchet.domain.peeling import peel_lots
from ratchet.domain.positions import Layer, LayerStatus
from ratchet.domain.refusals import Reason
from ratchet.domain.signals import Signal, SignalKind, Source
from ratchet.domain.stops import on_bar
from ratchet.execution import closing, exits
from ratchet.execution.intend import equity_of
from ratchet.execution.markets import Markets
from ratchet.execution.submission import Receipt, Submission
from ratchet.execution.turns import DONE, Again, Turn
from ratchet.observability import metrics
from ratchet.persistence import claims, intents, layers, market, money, signals
from ratchet.persistence.claims import Claim
from ratchet.persistence.transaction import Transaction, Write
from ratchet.runtime import Runtime

Accept = Callable[[Submission], Awaitable[Receipt]]
STOP_HIT = "PM_STOP_HIT"
_STEPS_A_TURN = 50


async def advance(rt: Runtime, markets: Markets, claim: Claim, accept: Accept) -> Turn:
    """Apply the bar, hand in the exits of the stops that it hit, and peel."""
    if "hits" not in claim.detail:
        found = await _apply(rt, claim)
        if found is None:
            return DONE
        claim = replace(claim, detail={**claim.detail, **found})
    for name in claim.detail["hits"]:
        await accept(_stop_exit(claim, name))
    return await _peel(rt, markets, claim)


async def _apply(rt: Runtime, claim: Claim) -> dict[str, Any] | None:
    """Move the stops, once, and write down what follows; None if nothing does, which ends the bar."""

    async def work(tx: Transaction) -> tuple[Reason, dict[str, Any] | None]:
        await claims.hold(tx, claim)
        seen = await market.read(tx, claim.account, claim.instrument)
        if seen.bar_ts is not None and seen.bar_ts >= claim.stamp:
            await _end(tx, rt, claim, Reason.STALE_BAR)
            return Reason.STALE_BAR, None
        close, atr = stored(claim.price), stored(claim.number("atr"))
        supertrend = stored(claim.number("supertrend"))
        moved, hits, kept = await _move_stops(tx, rt, claim, close, atr)
        bar = market.setting_bar(
            tx, claim.account, claim.instrument, at=claim.stamp, close=close, atr=atr, supertrend=supertrend
        )
        await tx.change(bar, *moved)
        peels = await _peels(tx, rt, claim, kept, atr)
        if not hits and not peels:
            await _end(tx, rt, claim, Reason.BAR_APPLIED)
            return Reason.BAR_APPLIED, None
        found = {"hits": hits, "peels": peels}
        await signals.note(tx, claim, found)
        return Reason.BAR_APPLIED, found

    reason, found = await rt.db.run(work, name="bar")
    if reason is Reason.BAR_APPLIED:
        metrics.LAST_BAR.labels(claim.instrument).set(claim.stamp.timestamp())
    return found


async def _move_stops(
    tx: Transaction, rt: Runtime, claim: Claim, close: Decimal, atr: Decimal
) -> tuple[list[Write], list[str], list[Layer]]:
    """Return the changes of the layers, the names of those that were hit, and those that were not."""
    changes: list[Write] = []
    hits: list[str] = []
    kept: list[Layer] = []
    for layer in await layers.live_of_lane(tx, claim.account, claim.instrument):
        if layer.status is not LayerStatus.OPEN or layer.signal_ts > claim.stamp:
            continue  # frozen, or opened after this bar had closed
        moved = on_bar(layer, rt.instrument(layer.instrument), close, atr)
        after = replace(layer, high=stored(moved.high), stop=stored(moved.stop))
        changes.append(layers.saving(after))
        if moved.hit:
            hits.append(layer.name)
        else:
            kept.append(after)
    return changes, hits, kept


async def _peels(tx: Transaction, rt: Runtime, claim: Claim, kept: list[Layer], atr: Decimal) -> dict[str, int]:
    """Return the lots to take off each layer that was not stopped."""
    if not kept:
        return {}
    purse = await money.read(tx, claim.account)
    equity = await equity_of(tx, rt, purse, await layers.live_of_account(tx, claim.account))
    blended = equity.blended(rt.portfolio.limits.unrealised_weight)
    lots = {layer.name: peel_lots(layer, rt.instrument(layer.instrument), blended, atr) for layer in kept}
    return {name: number for name, number in lots.items() if number > 0}


def _stop_exit(claim: Claim, layer: str) -> Submission:
    """Return the exit of one layer whose stop the bar has hit."""
    payload = {
        "type": str(SignalKind.EXIT),
        "instrument": claim.instrument,
        "position": layer,
        "timestamp": claim.stamp.isoformat(),
        "price": str(claim.price),
        "reason": STOP_HIT,
        "bar": str(claim.id),
    }
    signal = Signal(
        kind=SignalKind.EXIT,
        instrument=claim.instrument,
        position=layer,
        timestamp=claim.stamp,
        price=claim.price,
        atr=claim.number("atr"),
        reason=STOP_HIT,
        payload=payload,
    )
    digest = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
    return Submission(
        account=claim.account,
        strategy=claim.strategy,
        signal=signal,
        payload_hash=digest,
        source=Source.EXECUTOR,
        request_id=f"bar-{claim.id}",
    )


async def _peel(rt: Runtime, markets: Markets, claim: Claim) -> Turn:
    peels: dict[str, int] = claim.detail.get("peels", {})
    if not peels or not await markets.is_open(claim.account, rt.instrument(claim.instrument).exchange):
        return await _finish(rt, claim)
    for _ in range(_STEPS_A_TURN):
        async with rt.db.single(name="read-peel") as tx:
            found = await intents.of_origin(tx, claim.account, claim.fingerprint)
        if any(i.state is IntentState.REVIEW for i in found):
            return await exits.to_review(rt, claim, "an order that peels a layer is in review")
        flying = next((i for i in found if i.in_flight), None)
        turn = (
            await exits.drive(rt, markets, claim, flying)
            if flying is not None
            else await _next_peel(rt, markets, claim, found, peels)
        )
        if turn is not None:
            return turn
    return Again(0.0, "many steps in one turn")


async def _next_peel(
    rt: Runtime, markets: Markets, claim: Claim, found: list[Intent], peels: dict[str, int]
) -> Turn | None:
    async with rt.db.single(name="read-layers") as tx:
        held = await layers.live_of_lane(tx, claim.account, claim.instrument)
    contracts = await exits.contracts_of(rt, markets, claim.account, held)

    async def work(tx: Transaction) -> closing.Plan:
        await claims.hold(tx, claim)
        for layer in await layers.live_of_lane(tx, claim.account, claim.instrument):
            if layer.name not in peels or layer.status is not LayerStatus.OPEN:
                continue
            prefix = f"peel-{layer.name}"
            wanted = {
                h.symbol: peels[layer.name] * h.lot_size
                - sum(i.filled for i in found if i.leg == f"{prefix}:{h.symbol}")
                for h in layer.holdings
            }
            plan = await closing.plan_next(tx, rt, claim, found, [layer], contracts, prefix=prefix, wanted=wanted)
            if not isinstance(plan, closing.Flat):
                return plan
        return closing.Flat()

    match await rt.db.run(work, name="t2-peel"):
        case closing.Planned():
            return None
        case closing.Later(seconds, why):
            return Again(seconds, why)
        case closing.Stuck(why):
            return await exits.to_review(rt, claim, why)
        case _:
            return await _finish(rt, claim)


async def _finish(rt: Runtime, claim: Claim) -> Turn:
    async def work(tx: Transaction) -> None:
        await claims.hold(tx, claim)
        await _end(tx, rt, claim, Reason.BAR_APPLIED)

    await rt.db.run(work, name="t5")
    return DONE


async def _end(tx: Transaction, rt: Runtime, claim: Claim, reason: Reason) -> None:
    await signals.end(tx, claim, status=reason.status, reason=reason.code, actor=rt.boot_id)
