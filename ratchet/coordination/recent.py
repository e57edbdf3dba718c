"""The fingerprints that this process itself has seen lately: the first and cheapest layer of dedup."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from ratchet.clock import Clock
from ratchet.domain.identity import AccountId, Fingerprint, SignalId
from ratchet.domain.signals import TERMINAL, SignalStatus


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a signal that was stored. Once terminal, its status is true for ever."""

    id: SignalId
    status: SignalStatus
    payload_hash: str

    @property
    def terminal(self) -> bool:
        """Whether the status can change no more."""
        return self.status in TERMINAL


class Recent:
    """Remembers signals of committed rows, the latest `limit` of them, each for `seconds`.

    Only what the database has committed may be put in; then a hit is as good as a read of the row, except that the
    status of one that is not terminal may be behind.
    """

    def __init__(self, clock: Clock, *, limit: int = 10_000, seconds: float = 60.0) -> None:
        self._clock = clock
        self._limit = limit
        self._seconds = seconds
        self._entries: OrderedDict[tuple[AccountId, Fingerprint], tuple[float, Seen]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, account: AccountId, fingerprint: Fingerprint) -> Seen | None:
        """Return what is remembered of a signal."""
        key = (account, fingerprint)
        entry = self._entries.get(key)
        if entry is None:
            return None
        stored_at, seen = entry
        if self._clock.monotonic() - stored_at >= self._seconds:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return seen

    def put(self, account: AccountId, fingerprint: Fingerprint, seen: Seen) -> None:
        """Remember a stored signal; the one unused for longest goes when there are too many."""
        key = (account, fingerprint)
        self._entries[key] = (self._clock.monotonic(), seen)
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)
