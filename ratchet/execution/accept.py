"""Accept: a valid signal becomes one durable row, or is told which row it repeats. Nothing here waits for the broker.

Accepts that arrive while a transaction is under way are gathered, without a timer, into the next one: the more load,
the fewer commits each. Three layers say "seen already" ever more truly: this process, Redis, and the database, which
alone decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from ratchet.coordination.recent import Recent, Seen
from ratchet.domain.checks import Age, age_of
from ratchet.domain.identity import SignalId
from ratchet.domain.refusals import Reason
from ratchet.domain.signals import ENTRY_KINDS, TRADE_KINDS, SignalKind, SignalStatus
from ratchet.execution.submission import Duplicate, NotDurable, Overloaded, Receipt, Submission
from ratchet.failpoints import Failpoint, reach
from ratchet.observability import metrics
from ratchet.persistence import accepting
from ratchet.persistence.accepting import Known, NewSignal
from ratchet.persistence.errors import PersistenceError
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

WINDOW = timedelta(seconds=60)
"""Trades of one key closer than this, either way, are one. Source: docs/domain.md, section 3."""

ANSWER_SECONDS = 2.5
"""A sender is told no after this time: TradingView drops a call after 3 s, and only a 5xx answer is sent again."""

WORK = "work"
"""The topic that is rung when there is a signal to execute."""


@dataclass(slots=True)
class _Waiting:
    """One accept on its way into a batch."""

    submission: Submission
    new: NewSignal
    answer: asyncio.Future[Receipt]


class Acceptor:
    """Gathers concurrent accepts into few transactions. One per process; `run` must be running."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._queue: list[_Waiting] = []
        self._filled = asyncio.Event()
        self._notes: list[tuple[Known, str, dict[str, object]]] = []
        self._recent = Recent(rt.clock, limit=rt.settings.redis.recent_limit, seconds=rt.settings.redis.recent_seconds)

    @property
    def waiting(self) -> int:
        """How many accepts are in the queue."""
        return len(self._queue)

    async def accept(self, submission: Submission) -> Receipt:
        """Store the signal durably and return its receipt.

        Raises NotDurable if it could not be stored for sure, Overloaded if too many wait already.
        """
        seen = self._recent.get(submission.account, submission.signal.fingerprint)
        if seen is not None and seen.terminal and seen.payload_hash == submission.payload_hash:
            return self._repeat(submission, seen)
        if len(self._queue) >= self._rt.settings.database.accept_queue_limit:
            raise Overloaded("too many signals wait to be stored")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(submission, self._row(submission), loop.create_future())
        self._queue.append(waiting)
        self._filled.set()
        began = self._rt.clock.monotonic()
        limit = min(ANSWER_SECONDS, self._rt.settings.http.request_timeout_seconds)
        late = loop.call_later(limit, _too_late, waiting)
        try:
            receipt = await waiting.answer
        finally:
            late.cancel()
        metrics.ACCEPT_SECONDS.observe(self._rt.clock.monotonic() - began)
        return receipt

    async def accept_alone(self, submission: Submission) -> Receipt:
        """Store one signal in a transaction of its own, where `run` is not running. Raises PersistenceError."""
        waiting = _Waiting(submission, self._row(submission), asyncio.get_running_loop().create_future())
        await self._store([waiting], [])
        return await waiting.answer

    async def run(self) -> None:
        """Flush batches, one after another, until cancelled; what still waits is answered before the end."""
        metrics.ACCEPT_QUEUE.set_function(lambda: len(self._queue))
        metrics.RECENT_SIZE.set_function(lambda: len(self._recent))
        try:
            while True:
                await self._filled.wait()
                await self._flush()
        finally:
            for waiting in self._queue:
                _fail(waiting, NotDurable("the process ends"))

    def _repeat(self, submission: Submission, seen: Seen) -> Receipt:
        known = Known(
            id=seen.id,
            fingerprint=submission.signal.fingerprint,
            account=submission.account,
            status=str(seen.status),
            payload_hash=seen.payload_hash,
        )
        if len(self._notes) < self._rt.settings.database.accept_queue_limit:
            self._notes.append((known, "duplicate", {"request_id": submission.request_id, "by": "recent"}))
            self._filled.set()
        return Receipt(id=seen.id, status=seen.status, duplicate=Duplicate.EXACT)

    def _row(self, submission: Submission) -> NewSignal:
        signal = submission.signal
        end = self._end_at_the_door(submission)
        return NewSignal(
            id=uuid4(),
            account=submission.account,
            strategy=submission.strategy,
            fingerprint=signal.fingerprint,
            stamp=signal.stamp,
            instrument=signal.instrument,
            kind=str(signal.kind),
            layer=signal.position if signal.kind in TRADE_KINDS else None,
            source=str(submission.source),
            payload=dict(signal.payload),
            payload_hash=submission.payload_hash,
            request_id=submission.request_id,
            status=str(end.status if end else SignalStatus.ACCEPTED),
            reason=end.code if end else None,
            terminal=end is not None,
        )

    def _end_at_the_door(self, submission: Submission) -> Reason | None:
        """Return the end of what is too old or ahead; age never decides the answer (docs/protocol.md, section 2)."""
        signal, execution = submission.signal, self._rt.settings.execution
        now = self._rt.clock.now()
        if now - signal.stamp > timedelta(days=execution.retention_days):
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
        notes, self._notes = self._notes, []
        if not self._queue:
            self._filled.clear()
        try:
            await self._store(batch, notes)
        except Exception as error:  # noqa: BLE001 - the edge of a batch: what broke it must not end the accepting
            if len(batch) <= 1:
                _fail_all(batch, error)
                return
            for waiting in batch:
                try:
                    await self._store([waiting], [])
                except Exception as alone:  # noqa: BLE001 - the edge of one accept: its sender sends it again
                    _fail_all([waiting], alone)

    async def _store(self, batch: Sequence[_Waiting], notes: list[tuple[Known, str, dict[str, object]]]) -> None:
        batch = await self._answer_the_seen(batch, notes)
        if not batch and not notes:
            return

        receipts = await self._at_once(batch) if not notes else None
        if receipts is None:
            receipts = await self._in_steps(batch, notes)
        metrics.ACCEPT_BATCH.observe(len(batch))
        for waiting, receipt in zip(batch, receipts, strict=True):
            self._remember(waiting.submission, receipt)
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
        if any(self._recent.get(w.submission.account, w.submission.signal.fingerprint) is not None for w in batch):
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

    async def _in_steps(
        self, batch: Sequence[_Waiting], notes: Sequence[tuple[Known, str, dict[str, object]]]
    ) -> list[Receipt]:
        async def work(tx: Transaction) -> list[Receipt]:
            return await self._accept_all(tx, batch, notes)

        return await self._rt.db.run(
            work,
            name="accept",
            before_commit=lambda: reach(Failpoint.K1),
            commit_in_doubt=lambda: reach(Failpoint.K2),
        )

    async def _answer_the_seen(
        self, batch: Sequence[_Waiting], notes: list[tuple[Known, str, dict[str, object]]]
    ) -> Sequence[_Waiting]:
        """Answer what Redis has seen and a plain read of the database confirms, without taking a lock."""
        sights = await self._rt.hints.first_sight([f"{w.new.account}:{w.new.fingerprint}" for w in batch])
        maybe = [w for w, first in zip(batch, sights, strict=True) if first is False]
        if not maybe:
            return batch
        async with self._rt.db.transaction(name="seen") as tx:
            found = await accepting.seen(tx, [w.new for w in maybe], WINDOW)
        stored = {n: known for n, exact, known in found if exact}
        answered = set()
        for n, known in stored.items():
            waiting = maybe[n]
            if known.payload_hash != waiting.submission.payload_hash:
                continue
            answered.add(id(waiting))
            notes.append((known, "duplicate", {"request_id": waiting.submission.request_id, "by": "redis"}))
            receipt = _receipt(known, Duplicate.EXACT)
            self._remember(waiting.submission, receipt)
            if not waiting.answer.done():
                waiting.answer.set_result(receipt)
        return [w for w in batch if id(w) not in answered]

    async def _accept_all(
        self, tx: Transaction, batch: Sequence[_Waiting], notes: Sequence[tuple[Known, str, dict[str, object]]]
    ) -> list[Receipt]:
        rows = [waiting.new for waiting in batch]
        found, stored = await accepting.look(tx, rows, WINDOW, may_insert=_plain(rows), actor=self._rt.boot_id)
        sorted_out = _sort_out(rows, found)
        fresh = [row for row, duplicate in zip(rows, sorted_out, strict=True) if duplicate is None]
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
        duplicates = [*notes, *_notes_of(batch, sorted_out)]
        conflicts = sum(kind == "conflict" for _, kind, _ in duplicates)
        if conflicts:
            tx.after_commit.append(lambda: metrics.SIGNAL_CONFLICTS.inc(conflicts))
        await accepting.note_duplicates(tx, duplicates, actor=self._rt.boot_id)
        return [_receipt_for(row, duplicate) for row, duplicate in zip(rows, sorted_out, strict=True)]

    def _remember(self, submission: Submission, receipt: Receipt) -> None:
        if receipt.duplicate is not Duplicate.WINDOW:
            self._recent.put(
                submission.account,
                submission.signal.fingerprint,
                Seen(receipt.id, receipt.status, submission.payload_hash),
            )


def _plain(rows: Sequence[NewSignal]) -> bool:
    """Whether rows may be inserted as soon as nothing is found: they repeat none of each other, and none is an exit.

    An exit raises its lane's watermark in the transaction that stores it.
    """
    return all(row.kind != SignalKind.EXIT for row in rows) and not any(_sort_out(rows, []))


def _sort_out(
    rows: Sequence[NewSignal], found: Sequence[tuple[int, bool, Known]]
) -> list[tuple[Known, Duplicate] | None]:
    """Return for each row what it repeats: a stored signal, or an earlier row of the same batch."""
    exact = {n: known for n, is_exact, known in found if is_exact}
    near = {n: known for n, is_exact, known in found if not is_exact}
    result: list[tuple[Known, Duplicate] | None] = []
    taken: list[NewSignal] = []
    for n, row in enumerate(rows):
        known = exact.get(n)
        if known is not None:
            result.append(None if known.id == row.id else (known, Duplicate.EXACT))
            continue
        same = next((t for t in taken if (t.account, t.fingerprint) == (row.account, row.fingerprint)), None)
        if same is not None:
            result.append((_known_of(same), Duplicate.EXACT))
        elif n in near:
            result.append((near[n], Duplicate.WINDOW))
        elif row.layer is not None and (close := _close_by(row, taken)) is not None:
            result.append((_known_of(close), Duplicate.WINDOW))
        else:
            taken.append(row)
            result.append(None)
    return result


def _close_by(row: NewSignal, taken: Sequence[NewSignal]) -> NewSignal | None:
    near = (t for t in taken if t.key == row.key and abs(t.stamp - row.stamp) <= WINDOW)
    return next((t for t in near if t.kind != SignalKind.EXIT or not t.terminal), None)


def _known_of(row: NewSignal) -> Known:
    return Known(
        id=row.id, fingerprint=row.fingerprint, account=row.account, status=row.status, payload_hash=row.payload_hash
    )


def _notes_of(
    batch: Sequence[_Waiting], sorted_out: Sequence[tuple[Known, Duplicate] | None]
) -> list[tuple[Known, str, dict[str, object]]]:
    notes: list[tuple[Known, str, dict[str, object]]] = []
    for waiting, repeated in zip(batch, sorted_out, strict=True):
        if repeated is None:
            continue
        known, duplicate = repeated
        conflict = duplicate is Duplicate.EXACT and known.payload_hash != waiting.new.payload_hash
        facts: dict[str, object] = {"request_id": waiting.new.request_id, "duplicate": str(duplicate)}
        notes.append((known, "conflict" if conflict else "duplicate", facts))
    return notes


def _receipt(known: Known, duplicate: Duplicate) -> Receipt:
    return Receipt(id=SignalId(known.id), status=SignalStatus(known.status), duplicate=duplicate)


def _receipt_for(row: NewSignal, repeated: tuple[Known, Duplicate] | None) -> Receipt:
    if repeated is None:
        return Receipt(id=SignalId(row.id), status=SignalStatus(row.status), duplicate=None)
    return _receipt(*repeated)


def _fail(waiting: _Waiting, error: NotDurable) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _too_late(waiting: _Waiting) -> None:
    _fail(waiting, NotDurable("the database did not store the signal in time"))


def _fail_all(batch: Sequence[_Waiting], error: Exception) -> None:
    facts = {"event": "accept_failed", "count": len(batch), "error": str(error)}
    if isinstance(error, PersistenceError):
        log.warning("signals not stored", extra=facts)
    else:
        log.error("signals not stored", exc_info=error, extra=facts)
    for waiting in batch:
        _fail(waiting, NotDurable(str(error)))
