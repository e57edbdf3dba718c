"""T2, the plan of an entry: gates, size and reservation under the lane's lock, and the intents that make it durable."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import uuid4

from ratchet.domain import saga
from ratchet.domain.calendar import IST
from ratchet.domain.equity import (
    Equity,
    available_margin,
    drawdown_factor,
    layer_risk,
    layer_vol,
    trade_profit,
    unrealised,
)
from ratchet.domain.gates import PortfolioLoad, margin_warns, portfolio_gate, pyramid_gates
from ratchet.domain.identity import IntentId
from ratchet.domain.instruments import PRODUCT, Contract, Form, Instrument
from ratchet.domain.numbers import ZERO, stored
from ratchet.domain.orders import Intent, IntentState, Purpose, Side
from ratchet.domain.positions import Layer
from ratchet.domain.refusals import Reason
from ratchet.domain.signals import LAYERS, SignalKind, Source
from ratchet.domain.sizing import Sized, resize, size_base, size_pyramid, stop_for
from ratchet.domain.slices import slices
from ratchet.execution import booking, record
from ratchet.execution.markets import EntryMarket
from ratchet.execution.plans import LayerPlan
from ratchet.execution.turns import BUSY_SECONDS, Again
from ratchet.observability import metrics
from ratchet.persistence import claims, control, events, intents, layers, market, money, signals
from ratchet.persistence.claims import Claim
from ratchet.persistence.lanes import Lane
from ratchet.persistence.layers import TradeState
from ratchet.persistence.money import Purse
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

SET_ASIDE = (IntentState.SUPERSEDED,)
"""States of intents that a plan made again leaves behind."""
RESIZED = "resized"
"""How an unsent intent ended whose plan was made again at another size."""


class _SlotBusy(Exception):
    """Another order of the symbol and side is in flight."""


class _DailyLoss(Exception):
    """The day's loss has reached its limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Books:
    """What an entry is measured against, all read under the lane's lock."""

    purse: Purse
    live: list[Layer]
    of_account: list[Layer]
    trade: TradeState
    equity: Equity
    unrealised_here: Decimal


def stop_of(claim: Claim, instrument: Instrument) -> Decimal:
    """Return the stop that the entry is sized with and that its layer keeps."""
    stop = claim.payload.get("stop")
    return stop_for(None if stop is None else Decimal(str(stop)), claim.price, claim.number("atr"), instrument)


def number_of(claim: Claim) -> int:
    """Return the layer that the entry opens: 1 for a base."""
    return LAYERS.index(claim.position or "") + 1


async def intend(rt: Runtime, claim: Claim, seen: EntryMarket) -> Reason | Again | None:
    """Plan the entry durably. None: its intents are PENDING. A Reason: it is refused. Again: a slot is busy."""

    async def work(tx: Transaction) -> Reason | Again | None:
        lane = await claims.hold(tx, claim)
        stopped = await _stopped(tx, claim, lane)
        if stopped is not None:
            return stopped
        found = await intents.of_origin(tx, claim.account, claim.fingerprint)
        pending = [i for i in found if i.state is IntentState.PENDING]
        books = await _books(tx, rt, claim, pending)
        plan = _size(rt, claim, seen, books)
        if isinstance(plan, Reason):
            return plan
        if pending:
            if LayerPlan.from_json(claim.detail["plan"]).lots <= plan.lots:
                return None
            for intent in pending:  # at the present price the plan is too large: it is made again, smaller
                await intents.to_end(tx, intent, IntentState.SUPERSEDED, how=RESIZED)
                await booking.release(tx, intent)
            books = replace(books, purse=await money.lock(tx, claim.account))
        await _write(tx, rt, claim, seen, plan, found, books)
        _warn_of_margin(tx, rt, claim, plan, books)
        return None

    try:
        return await rt.db.run(work, name="t2")
    except _SlotBusy:
        return Again(BUSY_SECONDS, "another order of this contract and side is in flight")
    except _DailyLoss:
        await record.stop_sending(rt, claim.account, "the day's loss has reached its limit")
        return Reason.KILL_SWITCH


async def _stopped(tx: Transaction, claim: Claim, lane: Lane) -> Reason | Again | None:
    switches = await control.read(tx)
    if not switches.entries_on:
        return Reason.KILL_SWITCH
    if lane.supersedes(claim.kind, claim.stamp):
        return Reason.SUPERSEDED_BY_EXIT
    if lane.hold == "review":
        return Reason.EXPOSED
    if lane.hold == "rollover":
        return Again(2.0, "the instrument is being rolled")
    if claim.source is not Source.EXECUTOR and await signals.end_of_day_taken(tx, claim):
        return Reason.EOD_DONE
    return None


async def _books(tx: Transaction, rt: Runtime, claim: Claim, pending: Sequence[Intent]) -> _Books:
    """Read the account. The margin that our own unsent plan reserves is not counted against it."""
    of_account = await layers.live_of_account(tx, claim.account)
    live = [layer for layer in of_account if layer.instrument == claim.instrument]
    trade = await layers.trade_state(tx, claim.account, claim.instrument)
    purse = await money.lock(tx, claim.account)
    purse = replace(purse, reserved=purse.reserved - sum((i.reserved for i in pending), ZERO))

    here = trade_profit(live, claim.price, rt.instrument(claim.instrument))
    return _Books(
        purse=purse,
        live=live,
        of_account=of_account,
        trade=trade,
        equity=await equity_of(tx, rt, purse, of_account),
        unrealised_here=here,
    )


async def equity_of(tx: Transaction, rt: Runtime, purse: Purse, of_account: Sequence[Layer]) -> Equity:
    """Return an account's equity, its open layers valued at the last bar or quote, else at their entry."""
    seen = await market.of_account(tx, purse.account)

    def price_of(layer: Layer) -> Decimal:
        state = seen.get(layer.instrument)
        last = None if state is None else state.last_price
        return layer.entry_price if last is None else last

    return Equity(closed=purse.closed_equity, unrealised=unrealised(of_account, price_of, rt.portfolio.instruments))


def _size(rt: Runtime, claim: Claim, seen: EntryMarket, books: _Books) -> LayerPlan | Reason:
    gated = _gates(claim, seen.instrument, books)
    if gated:
        return gated[0]
    _check_daily_loss(rt, books)
    limits, instrument = rt.portfolio.limits, seen.instrument
    blended = books.equity.blended(limits.unrealised_weight)
    free = available_margin(blended, books.purse.used + books.purse.reserved, limits)
    stop = stop_of(claim, instrument)
    pyramid = claim.kind is SignalKind.PYRAMID
    factor = drawdown_factor(equity=books.equity.closed, peak=books.purse.closed_peak, pyramid=pyramid, limits=limits)
    if factor == 0:
        return Reason.DRAWDOWN
    sizes = [_sized(claim, books, instrument, stop, free, price, factor, rt) for price in (claim.price, seen.price)]
    lots = resize(sizes[0].lots, sizes[1])
    if lots == 0:
        return Reason.INVALID_RISK if "invalid_risk" in (sizes[0].limiter, sizes[1].limiter) else Reason.ZERO_LOTS
    over = _over_the_limits(rt, claim, instrument, books, stop, lots)
    if over:
        return over[0]
    return LayerPlan(
        number=number_of(claim),
        lots=lots,
        lot_size=instrument.lot_size,
        signal_price=claim.price,
        stop=stored(stop),
        atr=stored(claim.number("atr")),
        strike=seen.strike,
        expiry=seen.expiry,
        symbols=tuple(c.symbol for c in seen.contracts),
        margin_per_lot=instrument.margin_per_lot,
        facts={
            "equity": str(books.equity.sizing(limits)),
            "free_margin": str(free),
            "limiter": sizes[0].limiter,
            "lots_at_signal_price": str(sizes[0].lots),
            "broker_price": str(seen.price),
            "lot_r": str(sizes[0].lot_r),
            "lot_v": str(sizes[0].lot_v),
            "lot_m": str(sizes[0].lot_m),
        },
    )


def _gates(claim: Claim, instrument: Instrument, books: _Books) -> tuple[Reason, ...]:
    if claim.kind is SignalKind.BASE_ENTRY:
        return (Reason.ALREADY_IN_POSITION,) if books.live else ()
    return pyramid_gates(
        number=number_of(claim),
        layers=books.live,
        layers_opened=books.trade.layers_opened,
        price=claim.price,
        atr=claim.number("atr"),
        last_layer_price=books.trade.last_layer_price or claim.price,
        instrument=instrument,
    )


def _sized(
    claim: Claim,
    books: _Books,
    instrument: Instrument,
    stop: Decimal,
    free: Decimal,
    price: Decimal,
    factor: Decimal,
    rt: Runtime,
) -> Sized:
    if claim.kind is SignalKind.BASE_ENTRY:
        return size_base(
            equity=books.equity.sizing(rt.portfolio.limits) * factor,
            price=price,
            stop=stop,
            er=claim.number("er"),
            atr=claim.number("atr"),
            available_margin=free,
            instrument=instrument,
        )
    return size_pyramid(
        number=number_of(claim),
        price=price,
        stop=stop,
        available_margin=free,
        base=next(layer for layer in books.live if layer.number == 1),
        unrealised=books.unrealised_here,
        instrument=instrument,
    )


def _over_the_limits(
    rt: Runtime,
    claim: Claim,
    instrument: Instrument,
    books: _Books,
    stop: Decimal,
    lots: int,
) -> tuple[Reason, ...]:
    return portfolio_gate(
        _load(rt, books),
        (claim.price - stop) * lots * instrument.point_value,
        claim.number("atr") * lots * instrument.point_value,
        instrument.margin_per_lot * lots,
        rt.portfolio.limits,
        claim.kind is SignalKind.PYRAMID,
    )


def _load(rt: Runtime, books: _Books) -> PortfolioLoad:
    known = rt.portfolio.instruments
    return PortfolioLoad(
        equity=books.equity.blended(rt.portfolio.limits.unrealised_weight),
        risk=sum((layer_risk(layer, known[layer.instrument]) for layer in books.of_account), ZERO),
        vol=sum((layer_vol(layer, known[layer.instrument]) for layer in books.of_account), ZERO),
        margin=books.purse.used + books.purse.reserved,
    )


def _warn_of_margin(tx: Transaction, rt: Runtime, claim: Claim, plan: LayerPlan, books: _Books) -> None:
    """Tell people when a plan, once durable, takes the margin in use above the level of warning."""
    load, margin = _load(rt, books), plan.margin_per_lot * plan.lots
    if not margin_warns(load, margin, rt.portfolio.limits):
        return
    used, facts = load.margin + margin, {"event": "margin_warn", "account": claim.account}

    def tell() -> None:
        metrics.MARGIN_WARNINGS.labels(claim.account).inc()
        log.warning("margin in use: %.1f %% of equity", used * 100 / load.equity, extra=facts)

    tx.after_commit.append(tell)


def _check_daily_loss(rt: Runtime, books: _Books) -> None:
    purse = books.purse.on_day(rt.clock.now().astimezone(IST).date())
    start = purse.day_start_equity or ZERO
    if start > 0 and (start - purse.closed_equity) * 100 >= rt.portfolio.limits.daily_loss * start:
        raise _DailyLoss


async def _write(
    tx: Transaction,
    rt: Runtime,
    claim: Claim,
    seen: EntryMarket,
    plan: LayerPlan,
    found: Sequence[Intent],
    books: _Books,
) -> None:
    legs = _legs(rt, claim, seen, plan, attempt=1 + max((i.attempt for i in found), default=0))
    for intent in legs:
        if not await intents.plan_once(tx, intent):
            raise _SlotBusy
    limits = rt.portfolio.limits
    purse = books.purse.on_day(rt.clock.now().astimezone(IST).date())
    purse = replace(
        purse,
        reserved=purse.reserved + sum((i.reserved for i in legs), ZERO),
        margin_limit=stored(max(ZERO, books.equity.blended(limits.unrealised_weight) * limits.margin / 100)),
    )
    planned = events.appending(
        tx,
        stream=events.signal_stream(claim.account, claim.fingerprint),
        kind="planned",
        actor=rt.boot_id,
        data={"lots": plan.lots, "legs": [f"{i.side} {i.quantity} {i.symbol}" for i in legs], **plan.facts},
    )
    await tx.change(money.saving(purse), signals.noting(claim, {"plan": plan.to_json()}), planned)


def _legs(rt: Runtime, claim: Claim, seen: EntryMarket, plan: LayerPlan, *, attempt: int) -> list[Intent]:
    """Return the plan's first intents: the bought leg, then the sold one, each up to the exchange's freeze quantity."""
    if seen.instrument.form is Form.FUTURE:
        return [_leg(rt, claim, plan, seen.contracts[0], "fut", Side.BUY, attempt)]
    call, put = seen.contracts
    return [
        _leg(rt, claim, plan, call, "ce", Side.BUY, attempt),
        _leg(rt, claim, plan, put, "pe", Side.SELL, attempt),
    ]


def _leg(rt: Runtime, claim: Claim, plan: LayerPlan, contract: Contract, name: str, side: Side, attempt: int) -> Intent:
    cuts = slices(plan.quantity, contract.lot_size, contract.freeze)
    return Intent(
        id=new_id(),
        account=claim.account,
        instrument=claim.instrument,
        origin=claim.fingerprint,
        signal_ts=claim.stamp,
        purpose=Purpose.ENTRY,
        leg=name if len(cuts) == 1 else f"{name}/1",
        step=saga.SECOND_STEP if side is Side.SELL else 0,
        attempt=attempt,
        exchange=contract.exchange,
        symbol=contract.symbol,
        product=PRODUCT,
        side=side,
        quantity=cuts[0],
        lot_size=contract.lot_size,
        tick=contract.tick,
        price=None,
        state=IntentState.PENDING,
        reserved=_margin(plan, name, cuts[0]),
        created_at=rt.clock.now(),
    )


def _margin(plan: LayerPlan, leg: str, quantity: int) -> Decimal:
    """Return the margin of an order in rupees: it rides on the future, or on the put that is sold."""
    return stored(plan.margin_per_lot * quantity / plan.lot_size) if leg.startswith(("fut", "pe")) else ZERO


def new_id() -> IntentId:
    """Return a fresh id."""
    return IntentId(uuid4())


def blank(like: Intent) -> Intent:
    """Return a PENDING intent with the terms of another one and no history."""
    return replace(
        like,
        id=new_id(),
        state=IntentState.PENDING,
        price=None,
        reserved=ZERO,
        filled=0,
        avg_price=None,
        baseline=(),
        broker_order_id=None,
        broker_day=None,
        sender=None,
        epoch=None,
        sent_at=None,
        answered_at=None,
        terminal_at=None,
        looks=0,
        good_looks=(),
        rungs=0,
        rung_at=None,
        cancel_at=None,
        seen_end=None,
        how=None,
    )


async def plan_again(rt: Runtime, claim: Claim, like: Intent, *, quantity: int) -> bool:
    """Plan a leg's next attempt, for `quantity` units, with its margin; False if its slot is busy."""
    return await plan_more(rt, claim, saga.More(like, like.leg, like.step, like.attempt + 1, quantity))


async def plan_more(rt: Runtime, claim: Claim, more: saga.More) -> bool:
    """Plan the next part of a leg, with its margin; False if its slot is busy."""

    async def work(tx: Transaction) -> bool:
        await claims.hold(tx, claim)
        margin = _margin(LayerPlan.from_json(claim.detail["plan"]), more.leg, more.quantity)
        part = replace(
            blank(more.like),
            leg=more.leg,
            step=more.step,
            attempt=more.attempt,
            quantity=more.quantity,
            reserved=margin,
        )
        planned = await intents.plan_once(tx, part)
        if planned and margin:
            purse = await money.lock(tx, claim.account)
            await money.save(tx, replace(purse, reserved=purse.reserved + margin))
        return planned

    return await rt.db.run(work, name="plan-more")
