"""Accept: a valid signal becomes one durable row, or is told which row it repeats. Nothing here waits for the broker.

Accepts that arrive while a transaction is under way are gathered, without a timer, into the next one: the more load,
the fewer commits each. Three layers say "seen already" ever more truly: this process, Redis, and the database, which
alone decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

from ratchet.coordination.recent import Recent, Seen
from ratchet.domain.checks import Age, age_of
from ratchet.domain.identity import Fingerprint, SignalId
from ratchet.domain.refusals import Reason
from ratchet.domain.signals import ENTRY_KINDS, TRADE_KINDS, SignalKind, SignalStatus
from ratchet.execution.repeats import Repeats, receipt_of
from ratchet.execution.submission import Duplicate, NotDurable, Overloaded, Receipt, Submission
from ratchet.failpoints import Failpoint, reach
from ratchet.observability import metrics
from ratchet.persistence import accepting
from ratchet.persistence.accepting import Known, NewSignal, Note
from ratchet.persistence.errors import PersistenceError
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

WINDOW = timedelta(seconds=60)
"""Trades of one key closer than this, either way, are one. Source: docs/domain.md, section 3."""

ANSWER_SECONDS = 2.5
"""A sender is told no after this time: TradingView drops a call after 3 s, and only a 5xx answer is sent again."""

_TICK_SECONDS = 0.005
"""The loop's clock is no finer than this."""

WORK = "work"
"""The topic that is rung when there is a signal to execute."""


@dataclass(slots=True)
class _Waiting:
    """One accept on its way into a batch. since: seconds by the loop's clock."""

    submission: Submission
    new: NewSignal
    answer: asyncio.Future[Receipt]
    since: float


class Acceptor:
    """Gathers concurrent accepts into few transactions. One per process; `run` must be running."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._queue: list[_Waiting] = []
        self._under_way: Sequence[_Waiting] = ()
        self._filled = asyncio.Event()
        self._repeats = Repeats(rt)
        self._sweeper: asyncio.TimerHandle | None = None
        self._queue_limit = rt.settings.database.accept_queue_limit
        self._answer_seconds = min(ANSWER_SECONDS, rt.settings.http.request_timeout_seconds)
        self._retention = timedelta(days=rt.settings.execution.retention_days)
        self._recent = Recent(rt.clock, limit=rt.settings.redis.recent_limit, seconds=rt.settings.redis.recent_seconds)

    @property
    def waiting(self) -> int:
        """How many accepts are in the queue."""
        return len(self._queue)

    async def accept(self, submission: Submission) -> Receipt:
        """Store the signal durably and return its receipt.

        Raises NotDurable if it could not be stored for sure, Overloaded if too many wait already.
        """
        loop = asyncio.get_running_loop()
        began, since = self._rt.clock.monotonic(), loop.time()
        fingerprint = submission.signal.fingerprint
        seen = self._recent.get(submission.account, fingerprint)
        if seen is not None and seen.payload_hash == submission.payload_hash:
            receipt = await self._repeats.answered(submission, fingerprint, seen)
            if receipt is not None:
                if receipt.status is not seen.status:
                    self._recent.put(submission.account, fingerprint, replace(seen, status=receipt.status))
                metrics.ACCEPT_SECONDS.observe(self._rt.clock.monotonic() - began)
                return receipt
        if len(self._queue) >= self._queue_limit:
            raise Overloaded("too many signals wait to be stored")
        waiting = _Waiting(submission, self._row(submission, fingerprint), loop.create_future(), since)
        self._queue.append(waiting)
        self._filled.set()
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._answer_seconds, self._sweep)
        receipt = await waiting.answer
        metrics.ACCEPT_SECONDS.observe(self._rt.clock.monotonic() - began)
        return receipt

    async def accept_alone(self, submission: Submission) -> Receipt:
        """Store one signal in a transaction of its own, where `run` is not running. Raises PersistenceError."""
        loop = asyncio.get_running_loop()
        row = self._row(submission, submission.signal.fingerprint)
        waiting = _Waiting(submission, row, loop.create_future(), loop.time())
        await self._store([waiting])
        return await waiting.answer

    async def run(self) -> None:
        """Flush batches, one after another, until cancelled; what still waits is answered before the end."""
        metrics.ACCEPT_QUEUE.set_function(lambda: len(self._queue))
        metrics.RECENT_SIZE.set_function(lambda: len(self._recent))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._repeats.run(), name="repeats")
                while True:
                    await self._filled.wait()
                    await self._flush()
        finally:
            for waiting in (*self._under_way, *self._queue):
                _fail(waiting, NotDurable("the process ends"))

    def _sweep(self) -> None:
        """Tell those no that have waited too long. One timer for all: nearly all are answered in time."""
        loop = asyncio.get_running_loop()
        waiting = [w for w in (*self._under_way, *self._queue) if not w.answer.done()]
        oldest = loop.time() - self._answer_seconds + _TICK_SECONDS
        for late in waiting:
            if late.since <= oldest:
                _fail(late, NotDurable("the database did not store the signal in time"))
        due = [w.since for w in waiting if w.since > oldest]
        self._sweeper = loop.call_at(min(due) + self._answer_seconds, self._sweep) if due else None

    def _row(self, submission: Submission, fingerprint: Fingerprint) -> NewSignal:
        signal = submission.signal
        end = self._end_at_the_door(submission)
        return NewSignal(
            id=uuid4(),
            account=submission.account,
            strategy=submission.strategy,
            fingerprint=fingerprint,
            stamp=signal.stamp,
            instrument=signal.instrument,
            kind=signal.kind.value,
            layer=signal.position if signal.kind in TRADE_KINDS else None,
            source=submission.source.value,
            payload=dict(signal.payload),
            payload_hash=submission.payload_hash,
            request_id=submission.request_id,
            status=end.status.value if end else SignalStatus.ACCEPTED.value,
            reason=end.code if end else None,
            terminal=end is not None,
        )

    def _end_at_the_door(self, submission: Submission) -> Reason | None:
        """Return the end of what is too old or ahead; age never decides the answer (docs/protocol.md, section 2)."""
        signal, execution = submission.signal, self._rt.settings.execution
        now = self._rt.clock.now()
        if now - signal.stamp > self._retention:
            return Reason.FORGOTTEN
        age = age_of(
            now,
            signal.timestamp,
            limit_seconds=execution.entry_age_limit_seconds,
            future_seconds=execution.future_tolerance_seconds,
        )
        if age is Age.FUTURE and signal.kind is not SignalKind.EXIT:
            return Reason.FUTURE
        if age is Age.STALE and signal.kind in ENTRY_KINDS:
            return Reason.STALE
        return None

    async def _flush(self) -> None:
        limit = self._rt.settings.database.accept_batch_limit
        batch, self._queue = self._queue[:limit], self._queue[limit:]
        if not self._queue:
            self._filled.clear()
        self._under_way = batch
        try:
            await self._store(batch)
        except Exception as error:  # noqa: BLE001 - the edge of a batch: what broke it must not end the accepting
            if len(batch) <= 1:
                _fail_all(batch, error)
                batch = []
            for waiting in batch:
                try:
                    await self._store([waiting])
                except Exception as alone:  # noqa: BLE001 - the edge of one accept: its sender sends it again
                    _fail_all([waiting], alone)
        self._under_way = ()

    async def _store(self, batch: Sequence[_Waiting]) -> None:
        batch = await self._answer_the_seen(batch)
        if not batch:
            return

        receipts = await self._at_once(batch)
        if receipts is None:
            receipts = await self._in_steps(batch)
        metrics.ACCEPT_BATCH.observe(len(batch))
        for waiting, receipt in zip(batch, receipts, strict=True):
            self._remember(waiting, receipt)
            if not waiting.answer.done():
                waiting.answer.set_result(receipt)
        if any(receipt.duplicate is None for receipt in receipts):
            metrics.LAST_SIGNAL.set(self._rt.clock.now().timestamp())
            await self._rt.hints.wake(WORK)

    async def _at_once(self, batch: Sequence[_Waiting]) -> list[Receipt] | None:
        """Store a batch that seems new in one statement; None if anything in it is known, or went wrong.

        Whatever became of the statement, the longer way finds out: rows that are in are found by their ids.
        """
        rows = [waiting.new for waiting in batch]
        if self._rt.db.dialect != "postgresql" or not _plain(rows):
            return None
        if any(self._recent.get(w.submission.account, w.new.fingerprint) is not None for w in batch):
            return None
        try:
            await reach(Failpoint.K1)
            async with self._rt.db.single(name="accept-at-once") as tx:
                _, stored = await accepting.look(tx, rows, WINDOW, may_insert=True, actor=self._rt.boot_id)
            await reach(Failpoint.K2)
        except (PersistenceError, ConnectionError) as error:
            log.info("a batch is stored in steps", extra={"event": "accept_again", "error": str(error)})
            return None
        return [_receipt_for(row, None) for row in rows] if stored else None

    async def _in_steps(self, batch: Sequence[_Waiting]) -> list[Receipt]:
        async def work(tx: Transaction) -> list[Receipt]:
            return await self._accept_all(tx, batch)

        return await self._rt.db.run(
            work,
            name="accept",
            before_commit=lambda: reach(Failpoint.K1),
            commit_in_doubt=lambda: reach(Failpoint.K2),
        )

    async def _answer_the_seen(self, batch: Sequence[_Waiting]) -> Sequence[_Waiting]:
        """Answer what Redis has seen and a plain read of the database confirms, without taking a lock."""
        sights = await self._rt.hints.first_sight([f"{w.new.account}:{w.new.fingerprint}" for w in batch])
        maybe = [w for w, first in zip(batch, sights, strict=True) if first is False]
        if not maybe:
            return batch
        stored = await self._repeats.stored([(w.new.account, w.new.fingerprint, w.new.stamp) for w in maybe])
        answered = set()
        for n, known in stored.items():
            waiting = maybe[n]
            if known.payload_hash != waiting.submission.payload_hash:
                continue
            answered.add(id(waiting))
            self._repeats.note(known, waiting.submission.request_id, by="redis")
            receipt = receipt_of(known)
            self._remember(waiting, receipt)
            if not waiting.answer.done():
                waiting.answer.set_result(receipt)
        return [w for w in batch if id(w) not in answered]

    async def _accept_all(self, tx: Transaction, batch: Sequence[_Waiting]) -> list[Receipt]:
        rows = [waiting.new for waiting in batch]
        found, stored = await accepting.look(tx, rows, WINDOW, may_insert=_plain(rows), actor=self._rt.boot_id)
        sorted_out = _sort_out(rows, found)
        fresh = [row for row, duplicate in zip(rows, sorted_out, strict=True) if duplicate is None]
        new: set[tuple[str, str]]
        if stored:
            new = {(row.account, row.fingerprint) for row in fresh}
        else:
            new = await accepting.insert_new(tx, fresh, actor=self._rt.boot_id) if fresh else set()
        raced = [row for row in fresh if (row.account, row.fingerprint) not in new]
        if raced:  # scouts and bars take no lock: another pod was faster, and its row is visible now
            late = _sort_out(raced, await accepting.seen(tx, raced, WINDOW))
            again = dict(zip((row.id for row in raced), late, strict=True))
            sorted_out = [again.get(row.id, known) for row, known in zip(rows, sorted_out, strict=True)]
        await accepting.raise_watermarks(
            tx,
            [
                row
                for row in fresh
                if row.kind == SignalKind.EXIT and not row.terminal and (row.account, row.fingerprint) in new
            ],
        )
        duplicates = _notes_of(batch, sorted_out)
        conflicts = sum(kind == "conflict" for _, kind, _ in duplicates)
        if conflicts:
            tx.after_commit.append(lambda: metrics.SIGNAL_CONFLICTS.inc(conflicts))
        await accepting.note_duplicates(tx, duplicates, actor=self._rt.boot_id)
        return [_receipt_for(row, duplicate) for row, duplicate in zip(rows, sorted_out, strict=True)]

    def _remember(self, waiting: _Waiting, receipt: Receipt) -> None:
        if receipt.duplicate is not Duplicate.WINDOW:
            seen = Seen(receipt.id, receipt.status, waiting.new.payload_hash)
            self._recent.put(waiting.submission.account, waiting.new.fingerprint, seen)


def _plain(rows: Sequence[NewSignal]) -> bool:
    """Whether rows may be inserted as soon as nothing is found: they repeat none of each other, and none is an exit.

    An exit raises its lane's watermark in the transaction that stores it.
    """
    if any(row.kind == SignalKind.EXIT for row in rows):
        return False
    trades = [row.key for row in rows if row.layer is not None]
    others = [(row.account, row.fingerprint) for row in rows if row.layer is None]
    if len(set(trades)) == len(trades) and len(set(others)) == len(others):
        return True  # a trade's fingerprint is made of its key, and more
    return not any(_sort_out(rows, []))


def _sort_out(
    rows: Sequence[NewSignal], found: Sequence[tuple[int, bool, Known]]
) -> list[tuple[Known, Duplicate] | None]:
    """Return for each row what it repeats: a stored signal, or an earlier row of the same batch."""
    exact = {n: known for n, is_exact, known in found if is_exact}
    near = {n: known for n, is_exact, known in found if not is_exact}
    result: list[tuple[Known, Duplicate] | None] = []
    taken: dict[tuple[str, str], NewSignal] = {}
    by_key: dict[tuple[str, str, str, str], list[NewSignal]] = {}
    for n, row in enumerate(rows):
        known = exact.get(n)
        if known is not None:
            result.append(None if known.id == row.id else (known, Duplicate.EXACT))
            continue
        same = taken.get((row.account, row.fingerprint))
        if same is not None:
            result.append((_known_of(same), Duplicate.EXACT))
        elif n in near:
            result.append((near[n], Duplicate.WINDOW))
        elif row.layer is not None and (close := _close_by(row, by_key.get(row.key, ()))) is not None:
            result.append((_known_of(close), Duplicate.WINDOW))
        else:
            taken[row.account, row.fingerprint] = row
            by_key.setdefault(row.key, []).append(row)
            result.append(None)
    return result


def _close_by(row: NewSignal, of_its_key: Sequence[NewSignal]) -> NewSignal | None:
    near = (t for t in of_its_key if abs(t.stamp - row.stamp) <= WINDOW)
    return next((t for t in near if t.kind != SignalKind.EXIT or not t.terminal), None)


def _known_of(row: NewSignal) -> Known:
    return Known(
        id=row.id, fingerprint=row.fingerprint, account=row.account, status=row.status, payload_hash=row.payload_hash
    )


def _notes_of(batch: Sequence[_Waiting], sorted_out: Sequence[tuple[Known, Duplicate] | None]) -> list[Note]:
    notes: list[Note] = []
    for waiting, repeated in zip(batch, sorted_out, strict=True):
        if repeated is None:
            continue
        known, duplicate = repeated
        conflict = duplicate is Duplicate.EXACT and known.payload_hash != waiting.new.payload_hash
        facts: dict[str, object] = {"request_id": waiting.new.request_id, "duplicate": str(duplicate)}
        notes.append((known, "conflict" if conflict else "duplicate", facts))
    return notes


def _receipt_for(row: NewSignal, repeated: tuple[Known, Duplicate] | None) -> Receipt:
    if repeated is None:
        return Receipt(id=SignalId(row.id), status=SignalStatus(row.status), duplicate=None)
    return receipt_of(*repeated)


def _fail(waiting: _Waiting, error: NotDurable) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _fail_all(batch: Sequence[_Waiting], error: Exception) -> None:
    facts = {"event": "accept_failed", "count": len(batch), "error": str(error)}
    if isinstance(error, PersistenceError):
        log.warning("signals not stored", extra=facts)
    else:
        log.error("signals not stored", exc_info=error, extra=facts)
    for waiting in batch:
        _fail(waiting, NotDurable(str(error)))
