"""The worker of a pod: claims due signals, gives each its turns, and keeps its claims alive meanwhile."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from ratchet.brokers.base import BrokerError
from ratchet.coordination.base import Waiter
from ratchet.domain.orders import IntentState
from ratchet.domain.refusals import Reason
from ratchet.domain.signals import ENTRY_KINDS, TRADE_KINDS
from ratchet.execution import booking
from ratchet.execution.accept import WORK
from ratchet.execution.advance import advance
from ratchet.execution.bars import Accept
from ratchet.execution.markets import Markets, NoQuote
from ratchet.execution.submission import NotDurable, Overloaded
from ratchet.execution.turns import Again
from ratchet.observability import context, metrics
from ratchet.persistence import claims, incidents, intents, lanes, layers, signals
from ratchet.persistence.claims import Claim, ClaimLost
from ratchet.persistence.errors import PersistenceError
from ratchet.persistence.leases import FencedOut
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

_LOCK_PAUSE_SECONDS = 0.1


class Worker:
    """Executes signals until `drain` is called. One per process."""

    def __init__(self, rt: Runtime, markets: Markets, accept: Accept) -> None:
        self._rt = rt
        self._markets = markets
        self._accept = accept
        self._hand: dict[asyncio.Task[None], Claim] = {}
        self._draining = False

    @property
    def in_work(self) -> int:
        """How many signals are in work here."""
        return len(self._hand)

    async def run(self) -> None:
        """Claim and execute until drained or cancelled. On cancellation the turns in work are cancelled too."""
        beat = asyncio.create_task(self._keep_claims(), name="heartbeat of claims")
        try:
            async with self._rt.hints.waiting(WORK) as waiter:
                while not self._draining:
                    if not await self._claim():
                        await self._wait(waiter)
                await self._settle()
        finally:
            beat.cancel()
            cut = [beat, *self._hand]
            for task in cut:
                task.cancel()
            await asyncio.wait(cut)

    async def once(self, *, overdue_seconds: float) -> int:
        """Give one turn each to signals that nobody has taken for so long; return how many there were."""
        beat = asyncio.create_task(self._keep_claims(), name="heartbeat of claims")
        try:
            taken = await self._take(self._rt.settings.execution.claim_batch, overdue_seconds)
            await self._settle()
            return len(taken)
        finally:
            beat.cancel()
            await asyncio.wait([beat])

    def drain(self) -> None:
        """Claim nothing more; `run` returns when the turns in work have ended."""
        self._draining = True
        self._rt.hints.ring(WORK)

    async def _settle(self) -> None:
        while self._hand:
            await asyncio.wait(self._hand)

    async def _wait(self, waiter: Waiter) -> None:
        """Wait for a ring, for room, or for the next sweep."""
        sweep = self._rt.settings.execution.sweep_seconds
        await waiter.wait(sweep * random.uniform(0.8, 1.2))

    async def _claim(self) -> bool:
        """Take due signals; tells whether there may be more at once."""
        execution = self._rt.settings.execution
        room = execution.concurrency - len(self._hand)
        most = min(room, execution.claim_batch)
        if most <= 0:
            return False
        try:
            return len(await self._take(most, 0.0)) == most
        except PersistenceError as error:
            log.warning("no claims without the database", extra={"event": "claim_failed", "error": str(error)})
            return False

    async def _take(self, most: int, overdue_seconds: float) -> list[Claim]:
        """Claim signals and begin their turns."""
        taken = await claims.take(
            self._rt.db,
            owner=self._rt.boot_id,
            lease_seconds=self._rt.settings.execution.claim_lease_seconds,
            most=most,
            overdue_seconds=overdue_seconds,
        )
        for claim in taken:
            metrics.CLAIMS.labels("claimed" if claim.epoch == 1 else "again").inc()
            if claim.epoch == 1:
                metrics.QUEUE_SECONDS.observe(max(0.0, (self._rt.clock.now() - claim.received_at).total_seconds()))
            task = asyncio.create_task(self._turn(claim), name=f"turn of {claim.id}")
            self._hand[task] = claim
            task.add_done_callback(self._turn_over)
        metrics.CLAIMS_HELD.set(len(self._hand))
        return taken

    def _turn_over(self, task: asyncio.Task[None]) -> None:
        self._hand.pop(task, None)
        metrics.CLAIMS_HELD.set(len(self._hand))
        self._rt.hints.ring(WORK)

    async def _turn(self, claim: Claim) -> None:
        """One turn, at whose edge every error becomes a pause, a person's case, or a stored failure."""
        with context.bound(signal_id=str(claim.id)), metrics.timed(metrics.EXECUTE_SECONDS, str(claim.kind)):
            try:
                await self._under_hints(claim)
            except asyncio.CancelledError:
                await self._give_back(claim, 0.0)
                raise
            except (ClaimLost, FencedOut) as error:
                metrics.CLAIMS.labels("lost").inc()
                log.info("claim lost", extra={"event": "claim_lost", "why": str(error)})
            except Exception as error:  # noqa: BLE001 - the outermost edge of a turn
                await self._after_error(claim, _root(error))

    async def _under_hints(self, claim: Claim) -> None:
        """Take the turn while holding the saving locks, whose word decides nothing."""
        redis = self._rt.settings.redis
        names = [(f"signal:{claim.account}:{claim.fingerprint}", redis.signal_lock_seconds)]
        if claim.kind in TRADE_KINDS:
            names.append((f"position:{claim.account}:{claim.instrument}", redis.position_lock_seconds))
        held = []
        try:
            for name, seconds in names:
                hold = await self._rt.hints.hold(name, seconds)
                if hold is None:  # somebody may be at it: let them finish, then let the database decide
                    await self._rt.clock.sleep(_LOCK_PAUSE_SECONDS)
                else:
                    held.append(hold)
            turn = await advance(self._rt, self._markets, claim, self._accept)
        finally:
            for hold in reversed(held):
                await hold.release()
        if isinstance(turn, Again):
            await self._give_back(claim, turn.seconds)
        else:
            await self._rt.hints.wake(WORK)

    async def _give_back(self, claim: Claim, seconds: float) -> None:
        async def work(tx: Transaction) -> bool:
            return await claims.release(tx, claim, delay_seconds=seconds)

        await self._write(work, "release")
        self._ring_in(seconds)

    def _ring_in(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds + 0.002, self._rt.hints.ring, WORK)

    async def _after_error(self, claim: Claim, error: BaseException) -> None:
        pause = self._pause(claim)
        if isinstance(error, (NotDurable, Overloaded)):
            log.warning("a stop's exit is not stored yet", extra={"event": "turn_accept", "error": str(error)})
            await self._give_back(claim, pause)
        elif isinstance(error, (BrokerError, NoQuote)):
            log.warning("the broker does not answer", extra={"event": "turn_broker", "error": str(error)})
            await self._give_back(claim, pause)
        elif isinstance(error, PersistenceError) and error.retryable:
            log.warning("the database does not answer", extra={"event": "turn_database", "error": str(error)})
            await self._give_back(claim, pause)
        else:
            metrics.ATTEMPTS_FAILED.labels(str(claim.kind)).inc()
            log.exception("a turn failed", exc_info=error, extra={"event": "turn_failed"})
            await self._stumble(claim, error, pause)

    def _pause(self, claim: Claim) -> float:
        execution = self._rt.settings.execution
        bound = min(execution.retry_longest_seconds, execution.retry_first_seconds * 2**claim.attempts)
        return random.uniform(bound / 2, bound)

    async def _stumble(self, claim: Claim, error: BaseException, pause: float) -> None:
        text = f"{type(error).__name__}: {error}"
        last = claim.attempts + 1 >= self._rt.settings.execution.max_attempts

        async def work(tx: Transaction) -> bool:
            if last:
                return await self._poisoned(tx, claim, text)
            return await claims.stumble(tx, claim, delay_seconds=pause, error=text)

        await self._write(work, "stumble")
        self._ring_in(pause)

    async def _poisoned(self, tx: Transaction, claim: Claim, text: str) -> bool:
        """The signal failed too often. Either way a person is called.

        It ends if nothing of it can be at the broker, and frees what an exit had taken, so that the next exit or bar
        may try. An order that is about, or an entry that has bought something, must be looked at first.
        """
        await claims.hold(tx, claim)
        found = await intents.of_origin(tx, claim.account, claim.fingerprint)
        for intent in found:
            if intent.state is IntentState.PENDING:
                await intents.to_end(tx, intent, IntentState.SUPERSEDED, how=Reason.POISONED.code)
                await booking.release(tx, intent)
        sent = [i for i in found if not i.terminal and i.state is not IntentState.PENDING]
        bought = claim.kind in ENTRY_KINDS and any(i.filled for i in found)
        actor = self._rt.boot_id
        await incidents.open_incident(
            tx,
            account=claim.account,
            kind="poisoned",
            summary=text,
            actor=actor,
            instrument=claim.instrument,
            signal_id=claim.id,
        )
        for intent in sent:
            if await intents.to_review(tx, intent, how=text):
                await incidents.open_for_intent(tx, intent, kind="poisoned", summary=text, actor=actor)
        if sent or bought:
            await lanes.hold(tx, claim.account, claim.instrument, reason="review", ref=str(claim.id))
            return await signals.to_review(
                tx, claim, reason=Reason.POISONED.code, actor=actor, detail={"why": text[:500]}
            )
        await layers.let_go(tx, claim.account, claim.instrument, claim.fingerprint)
        reason = Reason.POISONED
        return await signals.end(tx, claim, status=reason.status, reason=reason.code, actor=actor, error=text)

    async def _write(self, work: Callable[[Transaction], Awaitable[bool]], name: str) -> None:
        """Write what can be written; without the database the claim runs out by itself."""
        try:
            await self._rt.db.run(work, name=name)
        except (PersistenceError, ClaimLost, FencedOut) as error:
            log.info("the claim runs out by itself", extra={"event": f"{name}_failed", "error": str(error)})

    async def _keep_claims(self) -> None:
        """Extend the claims in hand, far more often than they run out."""
        execution = self._rt.settings.execution
        while True:
            await self._rt.clock.sleep(execution.heartbeat_seconds)
            held = list(self._hand.values())
            if not held:
                continue
            try:
                async with self._rt.db.transaction(name="extend") as tx:
                    for claim in held:
                        await claims.extend(tx, claim, lease_seconds=execution.claim_lease_seconds)
            except (PersistenceError, FencedOut) as error:
                log.warning("claims not extended", extra={"event": "extend_failed", "error": str(error)})


def _root(error: BaseException) -> BaseException:
    """Return the first error inside a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
