"""A roll's plan and its ends: the target written down once, then rolled, failed, tried again, or forgotten."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from ratchet.domain.instruments import Contract, Form, Instrument
from ratchet.domain.numbers import ZERO, stored
from ratchet.domain.orders import Intent, IntentState, Side
from ratchet.domain.positions import Layer, LayerStatus
from ratchet.domain.rollover import Failed, RolloverStatus, doubtful_in, shifted
from ratchet.execution import booking
from ratchet.execution.markets import Markets
from ratchet.persistence import events, incidents, intents, lanes, layers, rollovers
from ratchet.persistence.rollovers import Rolling
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

HOLD = "rollover"
PAUSED = "rolling_paused"
"""The kind of incident whose closing lets an instrument roll again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLeg:
    """One leg of the new contract."""

    name: str
    contract: Contract
    side: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class RollPlan:
    """What one roll does. quantity: units of each new leg; old: symbols to leave; round: of tries, from 1."""

    legs: tuple[NewLeg, ...]
    quantity: int
    old: tuple[str, ...]
    old_freeze: dict[str, int]
    old_strike: Decimal | None
    strike: Decimal | None
    margin_per_lot: Decimal
    round: int

    @property
    def expiry(self) -> date:
        """When the new contract expires."""
        return self.legs[0].contract.expiry


async def plan(rt: Runtime, markets: Markets, rolling: Rolling, layer: Layer, epoch: int | None) -> RollPlan | None:
    """Return the roll's plan, choosing and writing down its target the first time; None while the lane is not free.

    Raises BrokerError, NoQuote, NoExpiry.
    """
    instrument = rt.instrument(layer.instrument)
    if "new" not in rolling.detail:
        seen = await markets.for_entry(layer.account, instrument)
        symbols = [c.symbol for c in seen.contracts]
        if set(symbols) & set(rolling.detail["old"]):
            return None  # the broker lists no later contract yet
        target = {
            "new": symbols,
            "strike": None if seen.strike is None else str(seen.strike),
            "lots": layer.lots,
            "old_strike": None if layer.strike is None else str(layer.strike),
        }
        if not await _start(rt, rolling, layer, target, epoch):
            return None
        rolling = replace(rolling, detail={**rolling.detail, **target})
    elif rolling.state is RolloverStatus.PENDING and not await _start(rt, rolling, layer, {}, epoch):
        return None
    contracts = [await markets.contract(layer.account, instrument.exchange, s) for s in rolling.detail["new"]]
    old = tuple(rolling.detail["old"])
    freeze = {s: (await markets.contract(layer.account, instrument.exchange, s)).freeze for s in old}
    return _plan(rolling, instrument, contracts, old, freeze)


def _plan(
    rolling: Rolling,
    instrument: Instrument,
    contracts: Sequence[Contract],
    old: tuple[str, ...],
    freeze: dict[str, int],
) -> RollPlan:
    names = ("fut",) if instrument.form is Form.FUTURE else ("ce", "pe")
    sides = (Side.BUY,) if instrument.form is Form.FUTURE else (Side.BUY, Side.SELL)
    legs = tuple(
        NewLeg(name=name, contract=contract, side=side)
        for name, contract, side in zip(names, contracts, sides, strict=True)
    )
    detail = rolling.detail
    return RollPlan(
        legs=legs,
        # lots are kept, units follow the new contract's lot size
        quantity=detail["lots"] * contracts[0].lot_size,
        old=old,
        old_freeze=freeze,
        old_strike=None if detail["old_strike"] is None else Decimal(detail["old_strike"]),
        strike=None if detail["strike"] is None else Decimal(detail["strike"]),
        margin_per_lot=instrument.margin_per_lot,
        round=detail["round"],
    )


async def _start(rt: Runtime, rolling: Rolling, layer: Layer, target: Mapping[str, object], epoch: int | None) -> bool:
    """pending -> in_progress, and the lane on hold for entries; False if the lane is not free or an exit waits."""

    async def work(tx: Transaction) -> bool:
        await rolling.hold(tx)
        lane = await lanes.lock(tx, layer.account, layer.instrument)
        fresh = await layers.get(tx, layer.id)
        busy = await intents.in_flight_of_lane(tx, layer.account, layer.instrument)
        others = [i for i in busy if i.origin != rolling.origin]
        if lane.hold not in ("none", HOLD) or (lane.hold == HOLD and lane.hold_ref != rolling.origin) or others:
            return False
        if fresh.status is not LayerStatus.OPEN or await rollovers.exit_waits(tx, fresh):
            return False
        await lanes.hold(tx, layer.account, layer.instrument, reason=HOLD, ref=rolling.origin)
        moved = await rollovers.to_state(tx, rolling, RolloverStatus.IN_PROGRESS, target)
        await _say(tx, rt, rolling, "started", {**target, "layer": layer.name}, epoch)
        return moved

    return await rt.db.run(work, name="roll-start")


async def complete(rt: Runtime, rolling: Rolling, plan: RollPlan, epoch: int | None) -> RolloverStatus:
    """in_progress -> rolled: the layer's prices move by the roll's gap, and its lane is free again."""

    async def work(tx: Transaction) -> dict[str, str]:
        await rolling.hold(tx)
        layer = await layers.get(tx, rolling.position_id)
        await lanes.lock(tx, layer.account, layer.instrument)
        found = await intents.of_origin(tx, rolling.account, rolling.origin)
        old_exit = _exposure(found, plan.old, plan.old_strike)
        new_entry = _exposure(found, [leg.contract.symbol for leg in plan.legs], plan.strike)
        moved = shifted(layer, old_exit=old_exit, new_entry=new_entry, strike=plan.strike)
        moved = replace(moved, lots=booking.matched_lots(moved, rt.instrument(layer.instrument)))
        facts = {"old_exit": str(old_exit), "new_entry": str(new_entry), "gap": str(new_entry - old_exit)}
        if await rollovers.to_state(tx, rolling, RolloverStatus.ROLLED, facts):
            await rollovers.move(tx, moved, expiry=plan.expiry)
            await _shift_trade(tx, layer, new_entry - old_exit)
            await _let_go(tx, rolling, layer)
            await _say(tx, rt, rolling, "completed", facts, epoch)
        return facts

    facts = await rt.db.run(work, name="roll-complete")
    log.info("rolled", extra={"event": "rollover_completed", "rollover": rolling.origin, **facts})
    return RolloverStatus.ROLLED


def _exposure(found: Sequence[Intent], symbols: Sequence[str], strike: Decimal | None) -> Decimal:
    """Return the average price of a contract's exposure over the roll's fills: of a synthetic, strike + call - put."""
    averages = [_average(found, symbol) for symbol in symbols]
    if strike is None:
        return averages[0]
    by_right = dict(zip(symbols, averages, strict=True))
    call = next(price for symbol, price in by_right.items() if symbol.endswith("CE"))
    put = next(price for symbol, price in by_right.items() if symbol.endswith("PE"))
    return strike + call - put


def _average(found: Sequence[Intent], symbol: str) -> Decimal:
    fills = [i for i in found if i.symbol == symbol and i.filled and "-undo:" not in i.leg]
    units = sum(i.filled for i in fills)
    return stored(sum(((i.avg_price or ZERO) * i.filled for i in fills), ZERO) / units)


async def _shift_trade(tx: Transaction, layer: Layer, gap: Decimal) -> None:
    """The last layer's price moves too, so that the spacing of the next pyramid survives."""
    state = await layers.trade_state(tx, layer.account, layer.instrument)
    if state.last_layer_price is not None and state.layers_opened == layer.number:
        shifted_state = replace(state, last_layer_price=state.last_layer_price + gap)
        await tx.change(layers.setting_trade(tx, layer.account, layer.instrument, shifted_state))


async def fail(rt: Runtime, rolling: Rolling, step: Failed, epoch: int | None) -> RolloverStatus:
    """in_progress -> failed: what was not sent is set aside, the lane is free for exits, a person is told."""
    why, flat = step.why, step.flat

    async def work(tx: Transaction) -> None:
        await rolling.hold(tx)
        layer = await layers.get(tx, rolling.position_id)
        await lanes.lock(tx, layer.account, layer.instrument)
        for intent in await intents.of_origin(tx, rolling.account, rolling.origin):
            if intent.state is IntentState.PENDING:
                await intents.to_end(tx, intent, IntentState.SUPERSEDED, how=why)
                await booking.release(tx, intent)
        now = await tx.now()
        detail = {"flat": flat, "why": why, "failed_at": now.isoformat()}
        if await rollovers.to_state(tx, rolling, RolloverStatus.FAILED, detail):
            await _let_go(tx, rolling, layer)
            if not step.for_exit:
                await incidents.open_incident(
                    tx,
                    account=layer.account,
                    kind="rollover_failed",
                    summary=f"{layer.name} of {layer.instrument}: {why}" + (" (the layer is flat)" if flat else ""),
                    actor=rt.boot_id,
                    instrument=layer.instrument,
                    data={"rollover": rolling.origin, "flat": flat},
                )
            await _say(tx, rt, rolling, "failed", detail, epoch)

    await rt.db.run(work, name="roll-fail")
    facts = {"event": "rollover_failed", "rollover": rolling.origin, "why": why, "flat": flat}
    log.log(logging.INFO if step.for_exit else logging.ERROR, "a roll ends here", extra=facts)
    return RolloverStatus.FAILED


async def retry(rt: Runtime, rolling: Rolling, layer: Layer, *, rounds: int, after: timedelta) -> Rolling | None:
    """failed -> pending for another round, some time later; after the last one a person lets the rolls go on.

    So does an order that may still appear at the broker. A layer that the last round left flat is closed: there is
    nothing left to roll.
    """

    async def work(tx: Transaction) -> Rolling | None:
        await rolling.hold(tx)
        await lanes.lock(tx, layer.account, layer.instrument)
        fresh = await layers.get(tx, layer.id)
        found = await intents.of_origin(tx, rolling.account, rolling.origin)
        since = datetime.fromisoformat(rolling.detail["failed_at"])
        unclear = any(i.in_flight or i.state is IntentState.REVIEW for i in found)
        if unclear or await tx.now() - since < after or await rollovers.exit_waits(tx, fresh):
            return None
        tried = rolling.detail["round"]
        detail = {"round": tried + 1}
        if tried - rolling.detail.get("resumed", 0) >= rounds or any(doubtful_in(i, tried) for i in found):
            if not await _resumed(tx, rt, rolling, fresh):
                return None
            detail |= {"resumed": tried}
        await rollovers.to_state(tx, rolling, RolloverStatus.PENDING, detail)
        return replace(rolling, state=RolloverStatus.PENDING, detail={**rolling.detail, **detail})

    return await rt.db.run(work, name="roll-retry")


async def _resumed(tx: Transaction, rt: Runtime, rolling: Rolling, layer: Layer) -> bool:
    """Call a person, once for each round that needs one; tell whether the incident was closed since."""
    told = rolling.detail.get("paused_after") == rolling.detail["round"]
    if told:
        return (layer.account, layer.instrument) not in await incidents.open_alarms(tx, PAUSED)
    await incidents.open_incident(
        tx,
        account=layer.account,
        kind=PAUSED,
        summary=f"{layer.name} of {layer.instrument} is not rolled after {rolling.detail['round']} rounds:"
        f" {rolling.detail['why']}",
        actor=rt.boot_id,
        instrument=layer.instrument,
    )
    if layer.flat and layer.status is LayerStatus.OPEN:
        await layers.save(tx, replace(layer, status=LayerStatus.CLOSED, lots=0))
        await tx.change(*await booking.after_close(tx, [layer]))
        await rollovers.to_state(tx, rolling, RolloverStatus.NONE, {"ended": "closed flat"})
    else:
        await rollovers.note(tx, rolling, {"paused_after": rolling.detail["round"]})
    return False


async def forget(rt: Runtime, rolling: Rolling) -> RolloverStatus:
    """The layer was closed meanwhile: there is nothing to roll any more."""

    async def work(tx: Transaction) -> None:
        await rolling.hold(tx)
        layer = await layers.get(tx, rolling.position_id)
        await lanes.lock(tx, layer.account, layer.instrument)
        await rollovers.to_state(tx, rolling, RolloverStatus.NONE, {"ended": "the layer was closed"})
        await _let_go(tx, rolling, layer)

    await rt.db.run(work, name="roll-forget")
    return RolloverStatus.NONE


async def _let_go(tx: Transaction, rolling: Rolling, layer: Layer) -> None:
    lane = await lanes.lock(tx, layer.account, layer.instrument)
    if lane.hold == HOLD and lane.hold_ref == rolling.origin:
        await lanes.hold(tx, layer.account, layer.instrument, reason="none", ref=None)


async def _say(
    tx: Transaction, rt: Runtime, rolling: Rolling, kind: str, data: Mapping[str, object], epoch: int | None
) -> None:
    await events.append(
        tx,
        stream=f"rollover:{rolling.origin}",
        kind=f"rollover:{kind}",
        actor=rt.boot_id,
        data=data,
        leader_epoch=epoch,
    )
