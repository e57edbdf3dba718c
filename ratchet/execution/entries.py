"""Entries: BASE_ENTRY and PYRAMID, from the first gate to the last fill.

Before anything is sent each turn asks the market again; once an order may have been sent, only the saga's recorded
state decides. The quantity is computed after the lane is locked (T2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from ratchet.broken import Broken, is_broken
from ratchet.domain import saga
from ratchet.domain.checks import Age, Quote, age_of, entry_price_check, price_sanity
from ratchet.domain.instruments import Instrument, RemainderRule
from ratchet.domain.ladder import LAST_TRY_SECONDS, entry_rung, exit_rung, last_try, unquoted_limit
from ratchet.domain.numbers import stored
from ratchet.domain.orders import Intent, IntentState, Purpose, Side
from ratchet.domain.refusals import Reason
from ratchet.execution import booking, intend, record
from ratchet.execution.follow import Ladder, Rest, follow
from ratchet.execution.markets import EntryMarket, Markets, NoQuote, is_option
from ratchet.execution.plans import LayerPlan
from ratchet.execution.resolve import resolve
from ratchet.execution.submit import submit
from ratchet.execution.turns import BUSY_SECONDS, DONE, Again, Turn
from ratchet.failpoints import Failpoint, reach
from ratchet.persistence import claims, incidents, intents, lanes, layers, market, progress, signals
from ratchet.persistence.claims import Claim
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

UNWIND_TRIES = 5
"""Intents that try to undo an unmatched call before a person is called."""
RATE_PAUSE_SECONDS = 1.5
_STEPS_A_TURN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What is recorded of an entry."""

    intents: list[Intent]
    ahead: bool
    superseded: bool
    held: bool


async def advance(rt: Runtime, markets: Markets, claim: Claim) -> Turn:
    """Take an entry as far as it goes now."""
    claim, state = await _read(rt, claim)
    if not _sent(state.intents):
        turn = await _prepare(rt, markets, claim, state)
        if turn is not None:
            return turn
    return await _drive(rt, markets, claim)


async def _read(rt: Runtime, claim: Claim) -> tuple[Claim, _State]:
    """Read what is recorded; the row's detail may hold the plan by now."""
    async with rt.db.single(name="read-entry") as tx:
        found = await progress.read(tx, claim)
    state = _State(
        intents=found.intents,
        ahead=found.ahead,
        superseded=found.lane.supersedes(claim.kind, claim.stamp),
        held=found.lane.hold == "review",
    )
    return replace(claim, detail=found.detail), state


def _sent(found: list[Intent]) -> bool:
    return any(i.state not in (IntentState.PENDING, *intend.SET_ASIDE) for i in found)


def _opening(found: list[Intent]) -> bool:
    """Whether no order of the entry can exist at the broker yet: the next one is its first, and its age counts."""
    return all(i.state in (IntentState.PENDING, IntentState.REFUSED, *intend.SET_ASIDE) for i in found)


async def _prepare(rt: Runtime, markets: Markets, claim: Claim, state: _State) -> Turn | None:
    """Before anything was sent: age, session, market, gates, size, and the durable plan. None: go on and send."""
    instrument = rt.instrument(claim.instrument)
    reason = await _refused_by_time(rt, markets, claim, instrument)
    if reason is not None:
        return await end(rt, claim, reason)
    if state.superseded:  # before anything is waited for: the exit may wait for us
        return await end(rt, claim, Reason.SUPERSEDED_BY_EXIT)
    if state.held:  # nor for a person, behind whom exits may wait for hours
        return await end(rt, claim, Reason.EXPOSED)
    if state.ahead and not any(i.in_flight for i in state.intents):
        return Again(BUSY_SECONDS, "an earlier trade of the lane is open")
    try:
        seen = await _market(rt, markets, claim, instrument, state.intents)
    except NoQuote as error:
        return Again(rt.settings.broker.poll_interval_seconds, str(error))
    reason = await _refused_by_price(rt, claim, seen)
    if reason is not None:
        return await end(rt, claim, reason)
    await reach(Failpoint.K4)
    outcome = await intend.intend(rt, claim, seen)
    await reach(Failpoint.K5)
    if isinstance(outcome, Reason):
        return await end(rt, claim, outcome)
    return outcome


async def _refused_by_time(rt: Runtime, markets: Markets, claim: Claim, instrument: Instrument) -> Reason | None:
    execution = rt.settings.execution
    age = age_of(rt.clock.now(), claim.stamp, limit_seconds=execution.entry_age_limit_seconds)
    if age is Age.STALE:
        return Reason.STALE
    if not await markets.is_open(claim.account, instrument.exchange):
        return Reason.MARKET_CLOSED
    return None


async def _market(
    rt: Runtime, markets: Markets, claim: Claim, instrument: Instrument, found: list[Intent]
) -> EntryMarket:
    plan = claim.detail.get("plan")
    if plan is None or not any(i.state is IntentState.PENDING for i in found):
        return await markets.for_entry(claim.account, instrument)
    chosen = LayerPlan.from_json(plan)  # the contracts of the plan, not those that today's price would choose
    contracts = [await markets.contract(claim.account, instrument.exchange, symbol) for symbol in chosen.symbols]
    return await markets.of_contracts(claim.account, instrument, tuple(contracts), chosen.strike)


async def _refused_by_price(rt: Runtime, claim: Claim, seen: EntryMarket) -> Reason | None:
    limits = rt.portfolio.limits
    age = age_of(rt.clock.now(), claim.stamp, limit_seconds=rt.settings.execution.entry_age_limit_seconds)
    reason = entry_price_check(
        signal_price=claim.price,
        stop=intend.stop_of(claim, seen.instrument),
        broker_price=seen.price,
        kind=claim.kind,
        age=age,
        limits=limits,
    )
    if reason is not None:
        return reason

    async with rt.db.single(name="quote-seen") as tx:  # the last one counts, whoever wrote it
        last = await market.last_quote(tx, claim.account, claim.instrument, within=timedelta(days=1))
        refused = price_sanity(seen.quote, last, limits)
        await market.set_quote(tx, claim.account, claim.instrument, stored(seen.price))
    return refused


async def _drive(rt: Runtime, markets: Markets, claim: Claim) -> Turn:
    for _ in range(_STEPS_A_TURN):
        claim, state = await _read(rt, claim)
        turn = await _one_step(rt, markets, claim, state)
        if turn is not None:
            return turn
    return Again(0.0, "many steps in one turn")


async def _one_step(rt: Runtime, markets: Markets, claim: Claim, state: _State) -> Turn | None:
    found = state.intents
    instrument = rt.instrument(claim.instrument)
    plan = LayerPlan.from_json(claim.detail["plan"])
    lost = next((i for i in found if i.state is IntentState.NOT_PLACED), None)
    if lost is not None and is_broken(Broken.RESEND_AFTER_ABSENCE) and len(found) == lost.attempt:
        await intend.plan_again(rt, claim, lost, quantity=lost.quantity)
        return Again(0.0, "a lost entry is sent again")
    step = saga.next_step(
        [i for i in found if i.how != intend.RESIZED],
        form=instrument.form,
        wanted=plan.quantity,
        refused_tries=rt.settings.broker.refused_tries,
        unwind_tries=UNWIND_TRIES,
    )
    match step:
        case saga.Drive(intent):
            return await _drive_one(rt, markets, claim, intent, state)
        case saga.Supersede(intent, why):
            await record.ended(rt, claim, intent, IntentState.SUPERSEDED, how=why)
            return None
        case saga.Retry(intent):
            planned = await intend.plan_again(rt, claim, intent, quantity=intent.quantity)
            return Again(RATE_PAUSE_SECONDS, "the broker refused the rate") if planned else Again(1.0, "slot busy")
        case saga.More():
            await reach(Failpoint.K15)
            return None if await intend.plan_more(rt, claim, step) else Again(BUSY_SECONDS, "the slot is busy")
        case saga.Unwind(like, quantity, attempt):
            await reach(Failpoint.K15)
            if not await _plan_unwind(rt, claim, like, quantity, attempt):
                return Again(BUSY_SECONDS, "the slot is busy")
            return None if attempt == 1 else Again(RATE_PAUSE_SECONDS, "a pause before the call is undone again")
        case saga.Review(why, exposed):
            return await to_review(rt, claim, why, exposed=exposed)
        case saga.End():
            return await end(rt, claim, saga.reason_of(step, found))


async def _drive_one(rt: Runtime, markets: Markets, claim: Claim, intent: Intent, state: _State) -> Turn | None:
    instrument = rt.instrument(claim.instrument)
    option = is_option(instrument)
    rules = rt.portfolio.ladder

    def limit(rung: int, quote: Quote) -> Decimal | None:
        if intent.purpose is Purpose.UNWIND:
            return exit_rung(
                i=rung, quote=quote, side=intent.side, tick=intent.tick, rules=rules, is_option=option
            ).price
        walked = entry_rung(
            i=rung,
            mid=quote.mid,
            side=intent.side,
            tick=intent.tick,
            rules=rules,
            signal_price=claim.price,
            is_option=option,
        )
        return None if walked is None else walked.price

    def protected(last: Decimal) -> Decimal:
        return unquoted_limit(last=last, side=intent.side, tick=intent.tick, rules=rules)

    match intent.state:
        case IntentState.PENDING:
            if intent.step >= saga.SECOND_STEP:
                await reach(Failpoint.K15)
            opening = _opening(state.intents)
            answer = await submit(
                rt,
                markets,
                claim,
                intent,
                price_of=lambda quote: limit(0, quote),
                opening=opening,
                unquoted=protected if intent.purpose is Purpose.UNWIND else None,
            )
            if isinstance(answer, Reason):
                return await _unsent(rt, claim, intent, answer, opening=opening)
            return answer
        case IntentState.WORKING:
            # once an exit has overtaken the entry, what has not filled yet is not wanted any more
            unwanted = state.superseded and intent.purpose is Purpose.ENTRY
            rest = _rest(rt, claim, intent) if intent.purpose is Purpose.ENTRY else None
            ladder = Ladder(price=limit, wait_seconds=rules.rung_seconds, give_up=unwanted, rest=rest)
            return await follow(rt, markets, claim, intent, ladder)
        case _:
            return await resolve(rt, markets, claim, intent)


def _rest(rt: Runtime, claim: Claim, intent: Intent) -> Rest | None:
    """Return what the rest of a part-filled order is given, by the portfolio's rule."""
    rules = rt.portfolio.ladder
    match rules.remainder:
        case RemainderRule.CANCEL:
            return None
        case RemainderRule.WAIT:
            return Rest(seconds=rules.wait_seconds)
        case RemainderRule.REATTEMPT:
            option = is_option(rt.instrument(claim.instrument))
            price = intent.price and last_try(
                price=intent.price,
                side=intent.side,
                tick=intent.tick,
                rules=rules,
                signal_price=claim.price,
                is_option=option,
            )
            return Rest(seconds=LAST_TRY_SECONDS, price=price)


async def _unsent(rt: Runtime, claim: Claim, intent: Intent, reason: Reason, *, opening: bool) -> Turn | None:
    """An intent was ended unsent: the plan ends with that reason if it was the first, else the saga goes on."""
    async with rt.db.transaction(name="read-intent") as tx:
        fresh = await intents.get(tx, intent.id)
    if fresh.state is IntentState.PENDING:
        await record.ended(rt, claim, fresh, IntentState.BLOCKED, how=reason.code)
    return await end(rt, claim, reason) if opening else None


async def _plan_unwind(rt: Runtime, claim: Claim, like: Intent, quantity: int, attempt: int) -> bool:
    async def work(tx: Transaction) -> bool:
        await claims.hold(tx, claim)
        layer = await layers.opened_by(tx, claim.account, claim.fingerprint)
        if layer is None:
            return False
        return await intents.plan_once(
            tx,
            replace(
                intend.blank(like),
                id=intend.new_id(),
                purpose=Purpose.UNWIND,
                leg="unwind",
                step=saga.UNWIND_STEP,
                attempt=attempt,
                side=Side.SELL,
                quantity=quantity,
                targets=(layer.id,),
            ),
        )

    return await rt.db.run(work, name="plan-unwind")


async def end(rt: Runtime, claim: Claim, reason: Reason) -> Turn:
    """End an entry: what was never sent is set aside, its layer is settled, and the signal gets its outcome (T5)."""

    async def work(tx: Transaction) -> None:
        await claims.hold(tx, claim)
        await _set_aside(tx, claim, how=reason.code)
        lots = await booking.settle_entry(tx, rt, claim.account, claim.instrument, claim.fingerprint)
        await signals.end(tx, claim, status=reason.status, reason=reason.code, actor=rt.boot_id, detail={"lots": lots})

    await rt.db.run(work, name="t5")
    return DONE


async def _set_aside(tx: Transaction, claim: Claim, *, how: str) -> None:
    for intent in await intents.of_origin(tx, claim.account, claim.fingerprint):
        if intent.state is IntentState.PENDING and await intents.to_end(tx, intent, IntentState.SUPERSEDED, how=how):
            await booking.release(tx, intent)


async def to_review(rt: Runtime, claim: Claim, why: str, *, exposed: bool) -> Turn:
    """Leave an entry to a person; a leg without its match is `exposed` and keeps entries out of the instrument.

    What was never sent is set aside: a person decides from here on.
    """

    async def work(tx: Transaction) -> None:
        await claims.hold(tx, claim)
        await _set_aside(tx, claim, how="the entry is in review")
        if exposed:
            await incidents.open_incident(
                tx,
                account=claim.account,
                kind="exposed",
                summary=why,
                actor=rt.boot_id,
                instrument=claim.instrument,
                signal_id=claim.id,
            )
        await lanes.hold(tx, claim.account, claim.instrument, reason="review", ref=str(claim.id))
        await signals.to_review(tx, claim, reason="review", actor=rt.boot_id, detail={"why": why})

    await rt.db.run(work, name="to-review")
    return DONE
