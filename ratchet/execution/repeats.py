"""Redeliveries of signals that are known to be stored: confirmed together by one read, answered, journalled later.

Nothing here locks or decides: the row is there, and only what has become of it is read. Whatever is not found as
expected goes the way of new signals.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ratchet.coordination.recent import Seen
from ratchet.domain.identity import Fingerprint, SignalId
from ratchet.domain.signals import SignalStatus
from ratchet.execution.submission import Duplicate, Receipt, Submission
from ratchet.persistence import accepting
from ratchet.persistence.accepting import Known, Note, Place
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

_READ_SECONDS = 0.5
"""A read that takes longer leaves its signals to the way of new ones, which has the time to answer them no."""

_WRITE_SECONDS = 2.0
"""Longest write of the journal; in an orderly stop it is waited for."""

_NOTES_PAUSE_SECONDS = 0.1
"""Between two writes of the journal, so that a flood of redeliveries costs few commits. No answer waits for it."""


@dataclass(slots=True)
class _Asked:
    """One redelivery that waits for the read."""

    place: Place
    payload_hash: str
    answer: asyncio.Future[Known | None]


class Repeats:
    """One per process. Unless `run` is running no read is made and no note written."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._limit = rt.settings.database.accept_queue_limit
        self._batch_limit = rt.settings.database.accept_batch_limit
        self._asked: list[_Asked] = []
        self._notes: list[Note] = []
        self._some_asked = asyncio.Event()
        self._some_notes = asyncio.Event()
        self._running = False

    async def answered(self, submission: Submission, fingerprint: Fingerprint, seen: Seen) -> Receipt | None:
        """Return the answer for a signal that is stored with the same content; None if that is not so (any more).

        An end never changes, so what is known to have ended needs no read.
        """
        if seen.terminal:
            known = Known(
                id=seen.id,
                fingerprint=fingerprint,
                account=submission.account,
                status=seen.status.value,
                payload_hash=seen.payload_hash,
            )
            self.note(known, submission.request_id, by="recent")
            return receipt_of(known)
        if not self._running or len(self._asked) >= self._limit:
            return None
        asked = _Asked(
            (submission.account, fingerprint, submission.signal.stamp),
            submission.payload_hash,
            asyncio.get_running_loop().create_future(),
        )
        self._asked.append(asked)
        self._some_asked.set()
        stored = await asked.answer
        if stored is None:
            return None
        self.note(stored, submission.request_id, by="recent")
        return receipt_of(stored)

    def note(self, known: Known, request_id: str, *, by: str) -> None:
        """Have a redelivery journalled that is answered already; in a flood some are left out."""
        if len(self._notes) < self._limit:
            self._notes.append((known, "duplicate", {"request_id": request_id, "by": by}))
            self._some_notes.set()

    async def run(self) -> None:
        """Read and write until cancelled; then the journal is written, and who still waits goes the way of new ones."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_reading(), name="confirm redeliveries")
                tasks.create_task(self._keep_writing(), name="journal redeliveries")
        finally:
            self._running = False
            _answer(self._asked, {})
            await self._write_notes()

    async def _keep_reading(self) -> None:
        while True:
            await self._some_asked.wait()
            batch, self._asked = self._asked[: self._batch_limit], self._asked[self._batch_limit :]
            if not self._asked:
                self._some_asked.clear()
            found: dict[int, Known] = {}
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    found = await self.stored([asked.place for asked in batch])
            except Exception as error:  # noqa: BLE001 - the edge of a batch: the way of new signals has the errors' answers
                log.info("redeliveries not confirmed", extra={"event": "confirm_failed", "error": str(error)})
            finally:
                _answer(batch, found)

    async def stored(self, places: Sequence[Place]) -> dict[int, Known]:
        """Return the signals that stand in these places, by index. Raises PersistenceError."""
        async with self._rt.db.single(name="seen") as tx:
            return await accepting.stored(tx, places)

    async def _keep_writing(self) -> None:
        while True:
            await self._some_notes.wait()
            self._some_notes.clear()
            await self._write_notes()
            await self._rt.clock.sleep(_NOTES_PAUSE_SECONDS)

    async def _write_notes(self) -> None:
        notes, self._notes = self._notes, []
        if not notes:
            return
        try:
            async with asyncio.timeout(_WRITE_SECONDS), self._rt.db.single(name="note-duplicates") as tx:
                await accepting.note_duplicates(tx, notes, actor=self._rt.boot_id)
        except asyncio.CancelledError:
            self._notes = [*notes, *self._notes]  # the write of the orderly stop has them once more
            raise
        except Exception as error:  # noqa: BLE001 - the edge of a batch: these are answered already
            log.info("redeliveries not journalled", extra={"event": "notes_lost", "error": str(error)})


def _answer(batch: Iterable[_Asked], found: dict[int, Known]) -> None:
    for n, asked in enumerate(batch):
        known = found.get(n)
        if known is not None and known.payload_hash != asked.payload_hash:
            known = None
        if not asked.answer.done():
            asked.answer.set_result(known)


def receipt_of(known: Known, duplicate: Duplicate = Duplicate.EXACT) -> Receipt:
    """Return the answer for a signal that repeats a stored one."""
    return Receipt(id=SignalId(known.id), status=SignalStatus(known.status), duplicate=duplicate)
