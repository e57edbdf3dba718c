"""T3, the permission to send: everything that may forbid an order, read under locks in the transaction that allows it.

When it has committed the order may be posted, once, within the send window that began before it. Source:
docs/protocol.md, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from ratchet.broken import Broken, is_broken
from ratchet.domain.calendar import IST
from ratchet.domain.checks import Age, age_of
from ratchet.domain.orders import Intent, IntentState
from ratchet.domain.refusals import Reason
from ratchet.execution import booking
from ratchet.failpoints import Failpoint, reach
from ratchet.persistence import control, incidents, intents, lanes, layers
from ratchet.persistence.claims import Holder
from ratchet.persistence.control import Control
from ratchet.persistence.errors import CommitInDoubt
from ratchet.persistence.lanes import Lane
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The order may be posted until `until` by the monotonic clock."""

    intent: Intent
    until: float


@dataclass(frozen=True, slots=True)
class NotNow:
    """The order stays PENDING; ask again after `seconds`."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The intent was ended without being sent, or left to a person."""

    reason: Reason


Answer = Permit | NotNow | Ended


async def permit(
    rt: Runtime, claim: Holder, intent: Intent, *, baseline: Sequence[str], price: Decimal, opening: bool
) -> Answer:
    """Ask for the permission to send `intent` at `price`.

    opening: it is the first order of an entry's plan, so that the signal's age counts.
    Raises ClaimLost, PersistenceError. After a commit in doubt the row is read back and, if it says SENDING by us, set
    back: nothing was posted.
    """
    started = rt.clock.monotonic()
    try:
        async with rt.db.transaction(name="t3", commit_in_doubt=lambda: reach(Failpoint.K7)) as tx:
            answer = await _decide(tx, rt, claim, intent, baseline, price, opening)
    except CommitInDoubt:
        await _read_back(rt, claim, intent)
        return NotNow(0.1, "the permission's commit was in doubt")
    if isinstance(answer, Intent):
        if tx.replication_doubt:
            await _read_back(rt, claim, intent)
            return NotNow(1.0, "the standby did not confirm the permission")
        return Permit(intent=answer, until=started + rt.settings.broker.send_window_seconds)
    return answer


async def _read_back(rt: Runtime, claim: Holder, intent: Intent) -> None:
    async def work(tx: Transaction) -> None:
        await lanes.lock(tx, intent.account, intent.instrument)
        await intents.take_back(
            tx, intent, sender=rt.boot_id, epoch=claim.epoch, how="commit in doubt, nothing was posted"
        )

    await rt.db.run(work, name="t3-read-back")


async def _decide(
    tx: Transaction,
    rt: Runtime,
    claim: Holder,
    intent: Intent,
    baseline: Sequence[str],
    price: Decimal,
    opening: bool,
) -> Intent | NotNow | Ended:
    switches = await control.share(tx)
    if is_broken(Broken.NO_COMPARE_AND_SET):
        await claim.lock(tx, intent)
        lane = await lanes.lock(tx, intent.account, intent.instrument)
    else:
        lane = await claim.hold_lane(tx, intent, seconds_left=rt.settings.execution.lease_left_to_send_seconds)
    if not switches.audited:
        return NotNow(1.0, "the order books are not audited yet")
    if intent.purpose.opens:
        stopped = _entry_stopped(rt, claim, switches, lane, opening=opening)
    else:
        stopped = await _exit_stopped(tx, intent, switches)
    if isinstance(stopped, NotNow):
        return stopped
    if stopped is not None:
        state, reason = stopped
        return await _end(tx, intent, state, reason)
    if await intents.slot_has_incident(tx, intent):
        return await _slot_closed(tx, rt, intent)
    budget = rt.settings.broker
    reserve = budget.orders_per_second_for_exits if intent.purpose.opens else 0
    if not await control.take_token(
        tx,
        intent.account,
        per_second=budget.orders_per_second - reserve,
        per_minute=budget.orders_per_minute,
    ):
        return NotNow(0.3, "the account's order budget is spent")
    sent = await intents.to_sending(
        tx, intent, baseline=baseline, sender=rt.boot_id, epoch=claim.epoch, price=price, day=_today(rt)
    )
    return sent if sent is not None else NotNow(0.0, "the intent is not pending any more")


def _entry_stopped(
    rt: Runtime, claim: Holder, switches: Control, lane: Lane, *, opening: bool
) -> tuple[IntentState, Reason] | NotNow | None:
    if not switches.entries_on:
        return IntentState.BLOCKED, Reason.KILL_SWITCH
    if lane.supersedes(claim.kind, claim.stamp):
        return IntentState.SUPERSEDED, Reason.SUPERSEDED_BY_EXIT
    if not opening:
        return None
    if lane.hold == "rollover":
        return NotNow(2.0, "the instrument is being rolled")
    if lane.hold == "review":
        return IntentState.BLOCKED, Reason.EXPOSED
    age = age_of(
        rt.clock.now(), claim.stamp, limit_seconds=rt.settings.execution.entry_age_limit_seconds, future_seconds=3600
    )
    return (IntentState.EXPIRED, Reason.STALE) if age is Age.STALE else None


async def _exit_stopped(
    tx: Transaction, intent: Intent, switches: Control
) -> tuple[IntentState, Reason] | NotNow | None:
    if not switches.exits_on:
        return NotNow(2.0, "exits are switched off")
    held = 0
    for target in intent.targets:
        held += (await layers.get(tx, target)).held(intent.symbol)
    if -held * intent.side.sign < intent.remaining:
        return IntentState.SUPERSEDED, Reason.NO_OPEN_POSITION  # the open quantity changed since it was planned
    return None


async def _slot_closed(tx: Transaction, rt: Runtime, intent: Intent) -> Ended:
    """An open incident closes the slot: an entry ends there, an exit is left to a person."""
    if intent.purpose.opens:
        return await _end(tx, intent, IntentState.BLOCKED, Reason.EXPOSED)
    why = "an incident is open on this contract and side"
    if await intents.to_review(tx, intent, how=why):  # with an incident of its own, by which a person ends it
        await incidents.open_for_intent(tx, intent, kind="slot_closed", summary=why, actor=rt.boot_id)
    return Ended(Reason.EXPOSED)


async def _end(tx: Transaction, intent: Intent, state: IntentState, reason: Reason) -> Ended:
    fresh = await intents.get(tx, intent.id)
    if await intents.to_end(tx, fresh, state, how=reason.code):
        await booking.release(tx, fresh)
    return Ended(reason)


def _today(rt: Runtime) -> date:
    return rt.clock.now().astimezone(IST).date()
