"""Rollover: layers near their expiry are moved into the next contract, one at a time, by the leader alone.

A roll is a saga of order intents, sent, resolved and recorded like any others; its own claim, and the fence at the
door through which duties reach the database, keep two leaders from driving it, and either of them would be enough.
While it is under way its lane is on hold for entries, and an exit waits for the step in hand. Source: docs/domain.md,
section 9.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from ratchet.brokers.base import BrokerError
from ratchet.domain import rollover as saga
from ratchet.domain.checks import Quote
from ratchet.domain.expiries import NoExpiry, roll_due
from ratchet.domain.instruments import PRODUCT, Instrument
from ratchet.domain.ladder import exit_rung
from ratchet.domain.numbers import ZERO, stored
from ratchet.domain.orders import Intent, IntentState, Purpose, Side
from ratchet.domain.positions import Layer, LayerStatus
from ratchet.domain.rollover import RolloverStatus, Target
from ratchet.domain.slices import slices
from ratchet.execution import roll_plan
from ratchet.execution.follow import Ladder, follow
from ratchet.execution.intend import new_id
from ratchet.execution.markets import Markets, NoQuote, is_option
from ratchet.execution.resolve import resolve
from ratchet.execution.roll_plan import RollPlan
from ratchet.execution.submit import submit
from ratchet.execution.turns import Again
from ratchet.failpoints import Failpoint, reach
from ratchet.persistence import intents, lanes, layers, money, rollovers
from ratchet.persistence.claims import ClaimLost
from ratchet.persistence.rollovers import Rolling
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

LEASES = 4
"""The hold on one roll lasts for so many leases of a signal; it is extended while a step is waited for."""
TENDER_REACH = timedelta(days=14)
"""Calendar days that surely hold the trading days of a tender guard."""
ROUNDS = 3
"""Rounds of tries after which an instrument's rolls pause until a person resumes them."""
RETRY_AFTER = timedelta(seconds=60)
_STEPS_A_PASS = 200

MayAct = Callable[[], None]
"""Raises if this process may not act as the leader any more; asked before each effect outside the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass did."""

    begun: int
    rolled: int
    failed: int
    waiting: int


async def run(rt: Runtime, *, leader_epoch: int | None = None, may_act: MayAct = lambda: None) -> Pass:
    """Begin the rolls that are due and take every unfinished one as far as it goes.

    Raises PersistenceError, and what `may_act` raises.
    """
    markets = Markets(rt)
    begun = 0
    for account in sorted(rt.portfolio.accounts):
        begun += await _scan(rt, markets, account)
    counts = {RolloverStatus.ROLLED: 0, RolloverStatus.FAILED: 0, RolloverStatus.PENDING: 0}
    async with rt.db.single(name="rollovers") as tx:
        unfinished = await rollovers.unfinished(tx)
    for rolling in unfinished:
        ended = await _take_and_roll(rt, markets, rolling, leader_epoch, may_act)
        counts[ended if ended in counts else RolloverStatus.PENDING] += 1
    return Pass(
        begun=begun,
        rolled=counts[RolloverStatus.ROLLED],
        failed=counts[RolloverStatus.FAILED],
        waiting=counts[RolloverStatus.PENDING],
    )


async def due(rt: Runtime, markets: Markets, account: str) -> list[tuple[Layer, Instrument, date]]:
    """Return the open layers of an account whose contract is due to be left: the dry run."""
    today = markets.today()
    longest = max(instrument.roll_days for instrument in rt.portfolio.instruments.values())
    horizon = max(timedelta(days=longest), TENDER_REACH)
    async with rt.db.transaction(name="roll-due") as tx:
        rows = await rollovers.expiring(tx, account, before=today + horizon)
        found = [(await layers.get(tx, row["id"]), row["expiry"]) for row in rows]
    if not found:
        return []
    calendar = await markets.calendar(account)
    return [
        (layer, rt.instrument(layer.instrument), expiry)
        for layer, expiry in found
        if roll_due(expiry, today, rt.instrument(layer.instrument), calendar)
    ]


async def _scan(rt: Runtime, markets: Markets, account: str) -> int:
    begun = 0
    for layer, instrument, expiry in await due(rt, markets, account):
        held = [h.symbol for h in layer.holdings if h.quantity]

        async def work(tx: Transaction, layer: Layer = layer, held: list[str] = held) -> bool:
            lane = await lanes.lock(tx, layer.account, layer.instrument)
            fresh = await layers.get(tx, layer.id)
            if fresh.status is not LayerStatus.OPEN or lane.hold == "review":
                return False
            detail = {"old": held, "round": 1}
            return await rollovers.begin(tx, fresh, old_contract="+".join(sorted(held)), detail=detail)

        if await rt.db.run(work, name="roll-begin"):
            begun += 1
            facts = {"event": "rollover_due", "instrument": instrument.name, "layer": layer.name}
            log.info("%s of %s is due to roll: it expires on %s", layer.name, instrument.name, expiry, extra=facts)
    return begun


async def _take_and_roll(
    rt: Runtime, markets: Markets, rolling: Rolling, epoch: int | None, may_act: MayAct
) -> RolloverStatus:
    """Claim one roll, drive it, and give it back; what goes wrong with it does not stop the others."""

    async def take(tx: Transaction) -> Rolling | None:
        return await rollovers.claim(tx, rolling.id, owner=rt.boot_id, lease_seconds=_hold_seconds(rt))

    mine = await rt.db.run(take, name="roll-claim")
    if mine is None:
        return RolloverStatus.PENDING
    try:
        return await _roll(rt, markets, mine, epoch, may_act)
    except (BrokerError, NoQuote, NoExpiry, ClaimLost) as error:
        log.warning("a roll waits", extra={"event": "rollover_waits", "rollover": mine.origin, "why": str(error)})
        return RolloverStatus.PENDING
    finally:

        async def give_back(tx: Transaction) -> None:
            await rollovers.release(tx, mine)

        await rt.db.run(give_back, name="roll-release")


async def _roll(rt: Runtime, markets: Markets, rolling: Rolling, epoch: int | None, may_act: MayAct) -> RolloverStatus:
    layer = await _layer(rt, rolling)
    instrument = rt.instrument(layer.instrument)
    if layer.status is LayerStatus.CLOSED:
        return await roll_plan.forget(rt, rolling)
    if not await markets.is_open(layer.account, instrument.exchange):
        return RolloverStatus.PENDING
    if rolling.state is RolloverStatus.FAILED:
        retried = await roll_plan.retry(rt, rolling, layer, rounds=ROUNDS, after=RETRY_AFTER)
        if retried is None:
            return RolloverStatus.FAILED
        rolling = retried
    plan = await roll_plan.plan(rt, markets, rolling, layer, epoch)
    if plan is None:
        return RolloverStatus.PENDING
    for _ in range(_STEPS_A_PASS):
        may_act()
        step = await _next(rt, rolling, plan)
        match step:
            case saga.Drive(intent):
                turn = await _drive(rt, markets, rolling, intent)
                if turn is not None:
                    await _pause(rt, rolling, turn)
            case saga.Rolled():
                await reach(Failpoint.K17)
                return await roll_plan.complete(rt, rolling, plan, epoch)
            case saga.Failed():
                return await roll_plan.fail(rt, rolling, step, epoch)
            case saga.Close() | saga.Open() | saga.Undo():
                await reach(Failpoint.K17)
                if not await _plan_leg(rt, rolling, plan, step):
                    await _pause(rt, rolling, Again(0.25, "the slot is busy"))
    return RolloverStatus.PENDING


async def _layer(rt: Runtime, rolling: Rolling) -> Layer:
    async with rt.db.single(name="roll-layer") as tx:
        return await layers.get(tx, rolling.position_id)


def _hold_seconds(rt: Runtime) -> float:
    return LEASES * rt.settings.execution.claim_lease_seconds


async def _pause(rt: Runtime, rolling: Rolling, turn: Again) -> None:
    async def work(tx: Transaction) -> None:
        await rollovers.extend(tx, rolling, lease_seconds=_hold_seconds(rt))

    await rt.db.run(work, name="roll-extend")
    await rt.clock.sleep(max(turn.seconds, 0.05))


async def _next(rt: Runtime, rolling: Rolling, plan: RollPlan) -> saga.Step:
    async with rt.db.transaction(name="roll-state") as tx:
        layer = await layers.get(tx, rolling.position_id)
        found = await intents.of_origin(tx, rolling.account, rolling.origin)
        exiting = await rollovers.exit_waits(tx, layer)
    legs = tuple((leg.name, leg.contract.symbol) for leg in plan.legs)
    return saga.next_step(
        layer,
        found,
        old=plan.old,
        target=Target(legs=legs, quantity=plan.quantity),
        exiting=exiting,
        attempt=plan.round,
    )


async def _drive(rt: Runtime, markets: Markets, rolling: Rolling, intent: Intent) -> Again | None:
    option = is_option(rt.instrument(intent.instrument))
    rules = rt.portfolio.ladder

    def limit(rung: int, quote: Quote) -> Decimal:
        return exit_rung(i=rung, quote=quote, side=intent.side, tick=intent.tick, rules=rules, is_option=option).price

    match intent.state:
        case IntentState.PENDING:
            answer = await submit(rt, markets, rolling, intent, price_of=lambda q: limit(0, q), opening=False)
            return answer if isinstance(answer, Again) else None
        case IntentState.WORKING:
            return await follow(rt, markets, rolling, intent, Ladder(price=limit, wait_seconds=rules.rung_seconds))
        case _:
            return await resolve(rt, markets, rolling, intent)


async def _plan_leg(rt: Runtime, rolling: Rolling, plan: RollPlan, step: saga.Close | saga.Open | saga.Undo) -> bool:
    """Write the next leg's intent under the roll's claim and the lane's lock; False if its slot is busy."""

    async def work(tx: Transaction) -> bool:
        await rolling.hold(tx)
        layer = await layers.get(tx, rolling.position_id)
        await lanes.lock(tx, layer.account, layer.instrument)
        found = await intents.of_origin(tx, rolling.account, rolling.origin)
        intent = _leg(rt, rolling, plan, layer, step, found)
        if not await intents.plan_once(tx, intent):
            return False
        if intent.reserved:
            purse = await money.lock(tx, layer.account)
            await money.save(tx, replace(purse, reserved=purse.reserved + intent.reserved))
        return True

    return await rt.db.run(work, name="roll-leg")


def _leg(
    rt: Runtime,
    rolling: Rolling,
    plan: RollPlan,
    layer: Layer,
    step: saga.Close | saga.Open | saga.Undo,
    found: list[Intent],
) -> Intent:
    margin = ZERO
    match step:
        case saga.Close(symbol, quantity):
            held = next(h for h in layer.holdings if h.symbol == symbol)
            side = Side.SELL if held.quantity > 0 else Side.BUY
            name, purpose, order = saga.close_leg(plan.round, symbol), Purpose.ROLL_CLOSE, 0 if side is Side.BUY else 1
            exchange, lot, tick, freeze = held.exchange, held.lot_size, held.tick, plan.old_freeze.get(symbol, 0)
        case saga.Open(leg_name, quantity):
            leg = next(one for one in plan.legs if one.name == leg_name)
            symbol, side = leg.contract.symbol, leg.side
            name, purpose, order = saga.open_leg(plan.round, symbol), Purpose.ROLL_OPEN, 2 + plan.legs.index(leg)
            exchange, lot, tick = leg.contract.exchange, leg.contract.lot_size, leg.contract.tick
            freeze = leg.contract.freeze
            if leg is plan.legs[-1]:  # the margin rides on the short put, or on the only leg
                margin = stored(plan.margin_per_lot * quantity / lot)
        case saga.Undo(quantity):
            leg = plan.legs[0]
            symbol, side = leg.contract.symbol, leg.side.opposite
            name, purpose, order = saga.undo_leg(plan.round, symbol), Purpose.ROLL_CLOSE, 4
            exchange, lot, tick = leg.contract.exchange, leg.contract.lot_size, leg.contract.tick
            freeze = leg.contract.freeze
    units = quantity if quantity % lot else slices(quantity, lot, freeze)[0]
    return Intent(
        id=new_id(),
        account=layer.account,
        instrument=layer.instrument,
        origin=rolling.origin,
        signal_ts=None,
        purpose=purpose,
        leg=name,
        step=order,
        attempt=1 + sum(1 for i in found if i.leg == name),
        exchange=exchange,
        symbol=symbol,
        product=PRODUCT,
        side=side,
        quantity=units,
        lot_size=lot,
        tick=tick,
        price=None,
        state=IntentState.PENDING,
        targets=(layer.id,),
        reserved=margin if units == quantity else stored(margin * units / quantity),
        created_at=rt.clock.now(),
    )
