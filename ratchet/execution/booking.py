"""Booking: what a fill does to layers, margin and the ledger, in the transaction that learns of it.

The caller holds the lane. `filled` only grows, and each growth is booked once: the fill's key is (intent, cumulative
quantity), and the intent's own row is raised by compare-and-set. Source: docs/protocol.md, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import uuid4

from ratchet.domain.calendar import IST
from ratchet.domain.identity import PositionId
from ratchet.domain.instruments import Form, Instrument
from ratchet.domain.numbers import ZERO, stored
from ratchet.domain.orders import Intent, Purpose, Side
from ratchet.domain.positions import Holding, Layer, LayerStatus
from ratchet.execution.markets import value_per_unit
from ratchet.execution.plans import LayerPlan
from ratchet.persistence import fills, incidents, intents, layers, money
from ratchet.persistence.claims import Claim
from ratchet.persistence.layers import TradeState
from ratchet.persistence.money import Purse
from ratchet.persistence.signals import by_fingerprint
from ratchet.persistence.transaction import Transaction, Write
from ratchet.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What the broker's trades add up to for one order. filled: units in all; average: of all of them."""

    filled: int
    average: Decimal


async def book(tx: Transaction, rt: Runtime, intent: Intent, fill: Fill) -> Intent:
    """Book what `fill` adds to the intent, and return the intent as it is then; nothing new changes nothing.

    intent: as read in this transaction under the lane's lock. All is read first, then written in one go.
    Raises StaleRow if a row was changed without the lane's lock.
    """
    step = fill.filled - intent.filled
    if step <= 0:
        return intent
    price = _step_price(intent, fill, step)
    share = _share(intent.reserved, step, intent.remaining)
    changes = [
        intents.growing(intent, filled=fill.filled, avg_price=stored(fill.average), reserved=intent.reserved - share),
        fills.recording(intent, cum_filled=fill.filled, quantity=step, price=price),
    ]
    purse = await _purse(tx, rt, intent) if _moves_money(intent, share) else None
    if not intent.purpose.opens:
        assert purse is not None, "closing moves money"
        closed, purse = await _close(tx, rt, intent, step, price, purse, cum=fill.filled)
        changes += closed
    elif intent.purpose is Purpose.ENTRY:
        changes += await _open(tx, rt, intent, step, price, share)
    else:
        changes += await _reopen(tx, rt, intent, step, price, share)
    if purse is not None:
        moved = share if intent.purpose.opens else ZERO
        changes.append(money.saving(replace(purse, reserved=purse.reserved - moved, used=purse.used + moved)))
    await tx.change(*changes)
    return replace(intent, filled=fill.filled, avg_price=stored(fill.average), reserved=intent.reserved - share)


async def release(tx: Transaction, intent: Intent) -> None:
    """Give back the margin that an ending intent still has reserved."""
    if intent.reserved > 0:
        purse = await money.lock(tx, intent.account)
        await money.save(tx, replace(purse, reserved=purse.reserved - intent.reserved))


async def _purse(tx: Transaction, rt: Runtime, intent: Intent) -> Purse:
    """Lock the purse, with the day's opening equity noted before the day's first result is booked."""
    return (await money.lock(tx, intent.account)).on_day(rt.clock.now().astimezone(IST).date())


def _moves_money(intent: Intent, share: Decimal) -> bool:
    return not intent.purpose.opens or share > 0


def _step_price(intent: Intent, fill: Fill, step: int) -> Decimal:
    before = (intent.avg_price or ZERO) * intent.filled
    return stored((fill.average * fill.filled - before) / step)


def _share(amount: Decimal, part: int, whole: int) -> Decimal:
    """Return the part of an amount that belongs to `part` of `whole` units; the last part takes what is left."""
    return amount if part >= whole else stored(amount * part / whole)


async def _open(
    tx: Transaction, rt: Runtime, intent: Intent, step: int, price: Decimal, margin: Decimal
) -> list[Write]:
    """Add a fill of an entry to its layer, which its first fill makes."""
    instrument = rt.instrument(intent.instrument)
    layer, signal = await layers.opened_by(tx, intent.account, intent.origin), None
    if layer is None:
        signal = await _planned(tx, intent)
        layer = await _new_layer(tx, intent, signal)
    holding = _added(layer, intent, step, price)
    layer = _with_holding(layer, holding)
    lots = matched_lots(layer, instrument)
    layer = replace(
        layer,
        lots=lots,
        entry_lots=lots,
        entry_price=_entry_price(layer, instrument),
        margin=layer.margin + margin,
    )
    if signal is None:
        written = layers.saving(layer)
    else:
        expiry = LayerPlan.from_json(signal.detail["plan"]).expiry
        written = layers.inserting(layer, strategy=signal.strategy, opened_by=intent.origin, expiry=expiry)
    return [written, layers.saving_holding(tx, layer, holding)]


async def _reopen(
    tx: Transaction, rt: Runtime, intent: Intent, step: int, price: Decimal, margin: Decimal
) -> list[Write]:
    """Add a fill of a roll's opening leg to the layer that rolls; its prices move when the roll is complete."""
    layer = await layers.get(tx, intent.targets[0])
    holding = _added(layer, intent, step, price)
    layer = _with_holding(layer, holding)
    lots = min(matched_lots(layer, rt.instrument(intent.instrument)), layer.entry_lots)
    return [
        layers.saving_holding(tx, layer, holding),
        layers.saving(replace(layer, lots=lots, margin=layer.margin + margin)),
    ]


def _added(layer: Layer, intent: Intent, step: int, price: Decimal) -> Holding:
    """Return what the layer holds of the intent's contract with `step` units more."""
    holding = _holding(layer, intent)
    quantity = holding.quantity + intent.side.sign * step
    average = stored((holding.avg_price * abs(holding.quantity) + price * step) / abs(quantity))
    return replace(holding, quantity=quantity, avg_price=average)


async def _planned(tx: Transaction, intent: Intent) -> Claim:
    signal = await by_fingerprint(tx, intent.account, intent.origin)
    if signal is None or "plan" not in signal.detail:
        raise LookupError(f"intent {intent.id} has no planned signal {intent.origin}")
    return signal


async def _new_layer(tx: Transaction, intent: Intent, signal: Claim) -> Layer:
    plan = LayerPlan.from_json(signal.detail["plan"])
    trade_id = None
    if plan.number > 1:
        trade_id = (await layers.trade_state(tx, intent.account, intent.instrument)).trade_id
    return Layer(
        id=PositionId(uuid4()),
        account=intent.account,
        instrument=intent.instrument,
        trade_id=trade_id or uuid4(),
        number=plan.number,
        status=LayerStatus.OPENING,
        lots=0,
        entry_lots=0,
        entry_price=plan.signal_price,
        signal_price=plan.signal_price,
        signal_ts=signal.stamp,
        initial_stop=plan.stop,
        stop=plan.stop,
        high=plan.signal_price,
        atr=plan.atr,
        strike=plan.strike,
    )


def _holding(layer: Layer, intent: Intent) -> Holding:
    found = next((h for h in layer.holdings if h.symbol == intent.symbol), None)
    return found or Holding(
        exchange=intent.exchange,
        symbol=intent.symbol,
        quantity=0,
        avg_price=ZERO,
        lot_size=intent.lot_size,
        tick=intent.tick,
    )


def _with_holding(layer: Layer, holding: Holding) -> Layer:
    others = tuple(h for h in layer.holdings if h.symbol != holding.symbol)
    return replace(layer, holdings=(*others, holding))


def matched_lots(layer: Layer, instrument: Instrument) -> int:
    """Return the whole lots that a layer really holds: of a synthetic, what both legs have."""
    long = sum(h.quantity // h.lot_size for h in layer.holdings if h.quantity > 0)
    if instrument.form is Form.FUTURE:
        return long
    return min(long, sum(-h.quantity // h.lot_size for h in layer.holdings if h.quantity < 0))


def _entry_price(layer: Layer, instrument: Instrument) -> Decimal:
    if instrument.form is Form.FUTURE:
        return layer.holdings[0].avg_price
    call = next((h for h in layer.holdings if h.quantity > 0), None)
    put = next((h for h in layer.holdings if h.quantity < 0), None)
    if call is None or put is None or layer.strike is None:
        return layer.signal_price
    return layer.strike + call.avg_price - put.avg_price


async def _close(
    tx: Transaction, rt: Runtime, intent: Intent, step: int, price: Decimal, purse: Purse, *, cum: int
) -> tuple[list[Write], Purse]:
    """Take a fill off the intent's layers, in their order (newest first), and book the result of each."""
    left = step
    changes: list[Write] = []
    closed: list[Layer] = []
    for target in intent.targets:
        layer = await layers.get(tx, target)
        holding = next((h for h in layer.holdings if h.symbol == intent.symbol), None)
        if holding is None or holding.quantity * intent.side.sign >= 0:
            continue
        units = min(left, abs(holding.quantity))
        written, after, purse = _close_layer(tx, rt, intent, layer, holding, units, price, purse, cum=cum)
        changes += written
        if after.status is LayerStatus.CLOSED:
            closed.append(after)
        left -= units
        if left == 0:
            break
    if left:
        await incidents.open_for_intent(
            tx,
            intent,
            kind="unallocated_fill",
            summary=f"{left} of {step} units of {intent.symbol} were filled beyond what the layers held",
            actor=rt.boot_id,
        )
    return changes + await after_close(tx, closed), purse


def _close_layer(
    tx: Transaction,
    rt: Runtime,
    intent: Intent,
    layer: Layer,
    holding: Holding,
    units: int,
    price: Decimal,
    purse: Purse,
    *,
    cum: int,
) -> tuple[list[Write], Layer, Purse]:
    instrument = rt.instrument(layer.instrument)
    gain = (price - holding.avg_price) * (1 if intent.side is Side.SELL else -1)
    result = stored(gain * units * value_per_unit(instrument, holding.lot_size))
    freed = ZERO
    if instrument.form is Form.FUTURE or holding.quantity < 0:  # a synthetic's margin rides on its short put
        freed = _share(layer.margin, units, abs(holding.quantity))
    emptied = replace(holding, quantity=holding.quantity + intent.side.sign * units)
    after = _with_holding(layer, emptied)
    after = replace(
        after,
        lots=matched_lots(after, instrument),
        margin=layer.margin - freed,
        realised=layer.realised + result,
        # between the legs of a roll a layer is flat and lives on
        status=LayerStatus.CLOSED if after.flat and intent.purpose is not Purpose.ROLL_CLOSE else layer.status,
    )
    changes = [layers.saving_holding(tx, layer, emptied), layers.saving(after)]
    purse = replace(purse, used=purse.used - freed)
    if result:
        ref = f"fill:{intent.id}:{cum}:{layer.id}"
        booked, purse = money.booking_result(tx, purse, amount=result, ref=ref, position_id=layer.id)
        changes.append(booked)
    return changes, after, purse


async def after_close(tx: Transaction, closed: Sequence[Layer]) -> list[Write]:
    """Return what follows for the trade when layers of a lane are closed.

    Without its base it takes no further pyramid; without any layer it is over.
    """
    if not closed:
        return []
    account, instrument, gone = closed[0].account, closed[0].instrument, {layer.id for layer in closed}
    live = await layers.live_of_lane(tx, account, instrument)
    if all(layer.id in gone for layer in live):
        return [layers.setting_trade(tx, account, instrument, TradeState())]
    state = await layers.trade_state(tx, account, instrument)
    if state.base_position_id in gone:
        return [layers.setting_trade(tx, account, instrument, replace(state, base_position_id=None))]
    return []


async def settle_entry(tx: Transaction, rt: Runtime, account: str, instrument: str, origin: str) -> int:
    """Make the layer of an entry whose orders have all ended `open`, and count it in its trade; returns its lots."""
    layer = await layers.opened_by(tx, account, origin)
    if layer is None or layer.status is LayerStatus.CLOSED:
        return 0
    if layer.status is not LayerStatus.OPENING:
        return layer.entry_lots
    state = await layers.trade_state(tx, account, instrument)
    after = TradeState(
        trade_id=layer.trade_id,
        base_position_id=layer.id if layer.number == 1 else state.base_position_id,
        last_layer_price=layer.signal_price,
        layers_opened=layer.number,
    )
    await tx.change(
        layers.saving(replace(layer, status=LayerStatus.OPEN)), layers.setting_trade(tx, account, instrument, after)
    )
    return layer.lots
