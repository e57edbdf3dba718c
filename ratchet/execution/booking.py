"""Booking: what a fill does to layers, margin and the ledger, in the transaction that learns of it.

The caller holds the lane. `filled` only grows, and each growth is booked once: the fill's key is (intent, cumulative
quantity), and the intent's own row is raised by compare-and-set. Source: docs/protocol.md, section 3.
"""

from __future__ import annotations

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
from ratchet.persistence.layers import TradeState
from ratchet.persistence.money import Purse
from ratchet.persistence.signals import by_fingerprint
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What the broker's trades add up to for one order. filled: units in all; average: of all of them."""

    filled: int
    average: Decimal


async def book(tx: Transaction, rt: Runtime, intent: Intent, fill: Fill) -> Intent:
    """Book what `fill` adds to the intent, and return the intent as it is then; nothing new changes nothing.

    intent: as read in this transaction under the lane's lock.
    """
    step = fill.filled - intent.filled
    if step <= 0:
        return intent
    price = _step_price(intent, fill, step)
    share = _share(intent.reserved, step, intent.remaining)
    grown = await intents.grow_fill(
        tx,
        intent,
        filled=fill.filled,
        avg_price=stored(fill.average),
        reserved=intent.reserved - share,
    )
    if not grown:
        return intent
    await fills.record(tx, intent, cum_filled=fill.filled, quantity=step, price=price)
    purse = await _purse(tx, rt, intent) if _moves_money(intent, share) else None
    if intent.purpose.opens:
        if intent.purpose is Purpose.ENTRY:
            await _open(tx, rt, intent, step, price, share)
        else:
            await _reopen(tx, rt, intent, step, price, share)
        if purse is not None and share:
            await money.save(tx, replace(purse, reserved=purse.reserved - share, used=purse.used + share))
    elif purse is not None:
        await money.save(tx, await _close(tx, rt, intent, step, price, purse, cum=fill.filled))
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


async def _open(tx: Transaction, rt: Runtime, intent: Intent, step: int, price: Decimal, margin: Decimal) -> None:
    """Add a fill of an entry to its layer, which its first fill makes."""
    instrument = rt.instrument(intent.instrument)
    layer = await layers.opened_by(tx, intent.account, intent.origin)
    if layer is None:
        layer = await _new_layer(tx, intent)
    holding = _holding(layer, intent)
    quantity = holding.quantity + intent.side.sign * step
    average = stored((holding.avg_price * abs(holding.quantity) + price * step) / abs(quantity))
    holding = replace(holding, quantity=quantity, avg_price=average)
    await layers.save_holding(tx, layer, holding)
    layer = _with_holding(layer, holding)
    lots = matched_lots(layer, instrument)
    await layers.save(
        tx,
        replace(
            layer,
            lots=lots,
            entry_lots=lots,
            entry_price=_entry_price(layer, instrument),
            margin=layer.margin + margin,
        ),
    )


async def _reopen(tx: Transaction, rt: Runtime, intent: Intent, step: int, price: Decimal, margin: Decimal) -> None:
    """Add a fill of a roll's opening leg to the layer that rolls; its prices move when the roll is complete."""
    layer = await layers.get(tx, intent.targets[0])
    holding = _holding(layer, intent)
    quantity = holding.quantity + intent.side.sign * step
    average = stored((holding.avg_price * abs(holding.quantity) + price * step) / abs(quantity))
    holding = replace(holding, quantity=quantity, avg_price=average)
    await layers.save_holding(tx, layer, holding)
    layer = _with_holding(layer, holding)
    lots = min(matched_lots(layer, rt.instrument(intent.instrument)), layer.entry_lots)
    await layers.save(tx, replace(layer, lots=lots, margin=layer.margin + margin))


async def _new_layer(tx: Transaction, intent: Intent) -> Layer:
    signal = await by_fingerprint(tx, intent.account, intent.origin)
    if signal is None or "plan" not in signal.detail:
        raise LookupError(f"intent {intent.id} has no planned signal {intent.origin}")
    plan = LayerPlan.from_json(signal.detail["plan"])
    trade = await layers.trade_state(tx, intent.account, intent.instrument)
    layer = Layer(
        id=PositionId(uuid4()),
        account=intent.account,
        instrument=intent.instrument,
        trade_id=trade.trade_id if trade.trade_id is not None and plan.number > 1 else uuid4(),
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
    await layers.insert_layer(tx, layer, strategy=signal.strategy, opened_by=intent.origin, expiry=plan.expiry)
    return layer


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
) -> Purse:
    """Take a fill off the intent's layers, in their order (newest first), and book the result of each."""
    left = step
    for target in intent.targets:
        layer = await layers.get(tx, target)
        holding = next((h for h in layer.holdings if h.symbol == intent.symbol), None)
        if holding is None or holding.quantity * intent.side.sign >= 0:
            continue
        units = min(left, abs(holding.quantity))
        purse = await _close_layer(tx, rt, intent, layer, holding, units, price, purse, cum=cum)
        left -= units
        if left == 0:
            return purse
    await incidents.open_for_intent(
        tx,
        intent,
        kind="unallocated_fill",
        summary=f"{left} of {step} units of {intent.symbol} were filled beyond what the layers held",
        actor=rt.boot_id,
    )
    return purse


async def _close_layer(
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
) -> Purse:
    instrument = rt.instrument(layer.instrument)
    gain = (price - holding.avg_price) * (1 if intent.side is Side.SELL else -1)
    result = stored(gain * units * value_per_unit(instrument, holding.lot_size))
    freed = ZERO
    if instrument.form is Form.FUTURE or holding.quantity < 0:  # a synthetic's margin rides on its short put
        freed = _share(layer.margin, units, abs(holding.quantity))
    emptied = replace(holding, quantity=holding.quantity + intent.side.sign * units)
    await layers.save_holding(tx, layer, emptied)
    after = _with_holding(layer, emptied)
    after = replace(
        after,
        lots=matched_lots(after, instrument),
        margin=layer.margin - freed,
        realised=layer.realised + result,
        # between the legs of a roll a layer is flat and lives on
        status=LayerStatus.CLOSED if after.flat and intent.purpose is not Purpose.ROLL_CLOSE else layer.status,
    )
    await layers.save(tx, after)
    if after.status is LayerStatus.CLOSED:
        await after_close(tx, after)
    purse = replace(purse, used=purse.used - freed)
    if result:
        purse = await money.book(
            tx,
            purse,
            kind="TRADING_PNL",
            amount=result,
            ref=f"fill:{intent.id}:{cum}:{layer.id}",
            position_id=layer.id,
        )
    return purse


async def after_close(tx: Transaction, layer: Layer) -> None:
    """A trade without its base takes no further pyramid; without any layer it is over."""
    live = await layers.live_of_lane(tx, layer.account, layer.instrument)
    state = await layers.trade_state(tx, layer.account, layer.instrument)
    if not any(other.id != layer.id for other in live):
        await layers.set_trade_state(tx, layer.account, layer.instrument, TradeState())
    elif state.base_position_id == layer.id:
        await layers.set_trade_state(tx, layer.account, layer.instrument, replace(state, base_position_id=None))


async def settle_entry(tx: Transaction, rt: Runtime, account: str, instrument: str, origin: str) -> int:
    """Make the layer of an entry whose orders have all ended `open`, and count it in its trade; returns its lots."""
    layer = await layers.opened_by(tx, account, origin)
    if layer is None or layer.status is LayerStatus.CLOSED:
        return 0
    if layer.status is not LayerStatus.OPENING:
        return layer.entry_lots
    await layers.save(tx, replace(layer, status=LayerStatus.OPEN))
    state = await layers.trade_state(tx, account, instrument)
    await layers.set_trade_state(
        tx,
        account,
        instrument,
        TradeState(
            trade_id=layer.trade_id,
            base_position_id=layer.id if layer.number == 1 else state.base_position_id,
            last_layer_price=layer.signal_price,
            layers_opened=layer.number,
        ),
    )
    return layer.lots
