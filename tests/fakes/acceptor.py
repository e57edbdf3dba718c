"""An acceptor that keeps signals in memory: what the door needs, without a database."""

import asyncio
from uuid import uuid4

from ratchet.domain.identity import SignalId
from ratchet.domain.signals import SignalStatus
from ratchet.execution.submission import Duplicate, Receipt, Submission


class MemoryAcceptor:
    """Knows a signal by account and fingerprint. trouble: raised instead of accepting; held: accepts wait until set."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self.trouble: Exception | None = None
        self.held = asyncio.Event()
        self.held.set()
        self.waiting = 0
        self._known: dict[tuple[str, str], SignalId] = {}

    async def accept(self, submission: Submission) -> Receipt:
        self.waiting += 1
        try:
            await self.held.wait()
        finally:
            self.waiting -= 1
        if self.trouble is not None:
            raise self.trouble
        key = (str(submission.account), str(submission.signal.fingerprint))
        duplicate = Duplicate.EXACT if key in self._known else None
        signal_id = self._known.setdefault(key, SignalId(uuid4()))
        self.submissions.append(submission)
        return Receipt(id=signal_id, status=SignalStatus.ACCEPTED, duplicate=duplicate)
