"""Signals: what arrived, its kinds, and the one table of what may become of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from ratchet.domain.identity import Fingerprint, fingerprint

ALL = "ALL"
"""The position of an EXIT that closes every layer of its instrument."""

BASE_LAYER = "Long_1"
LAYERS = tuple(f"Long_{n}" for n in range(1, 7))


class SignalKind(StrEnum):
    """The five types of message. Source: docs/domain.md, section 2."""

    BASE_ENTRY = "BASE_ENTRY"
    PYRAMID = "PYRAMID"
    EXIT = "EXIT"
    EOD_MONITOR = "EOD_MONITOR"
    MARKET_DATA = "MARKET_DATA"


ENTRY_KINDS = frozenset({SignalKind.BASE_ENTRY, SignalKind.PYRAMID})
TRADE_KINDS = ENTRY_KINDS | {SignalKind.EXIT}


class Source(StrEnum):
    """Where a signal came from."""

    WEBHOOK = "webhook"
    API = "api"
    EXECUTOR = "executor"


class SignalStatus(StrEnum):
    """The life of an accepted signal. Source: docs/protocol.md, section 3."""

    ACCEPTED = "accepted"
    PROCESSING = "processing"
    REVIEW = "review"
    EXECUTED = "executed"
    PARTIALLY_EXECUTED = "partially_executed"
    BLOCKED = "blocked"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"


TERMINAL = frozenset(
    {
        SignalStatus.EXECUTED,
        SignalStatus.PARTIALLY_EXECUTED,
        SignalStatus.BLOCKED,
        SignalStatus.REJECTED,
        SignalStatus.EXPIRED,
        SignalStatus.FAILED,
    }
)
"""An outcome in this set never changes."""

OPEN = frozenset({SignalStatus.ACCEPTED, SignalStatus.PROCESSING})
"""Work that a pod may claim; REVIEW waits for a person."""

NEXT: Mapping[SignalStatus, frozenset[SignalStatus]] = {
    # A stale, future or forgotten stamp is ended by the accept itself, without ever being claimed.
    SignalStatus.ACCEPTED: frozenset({SignalStatus.PROCESSING}) | TERMINAL,
    SignalStatus.PROCESSING: frozenset({SignalStatus.REVIEW}) | TERMINAL,
    SignalStatus.REVIEW: TERMINAL,
    **{status: frozenset() for status in TERMINAL},
}


class ImpossibleTransition(ValueError):
    """A state was asked to become one that its table does not allow."""

    def __init__(self, machine: str, before: str, after: str) -> None:
        super().__init__(f"a {machine} cannot go from {before} to {after}")


def advance(before: SignalStatus, after: SignalStatus) -> SignalStatus:
    """Return `after` if the table allows it. Raises ImpossibleTransition otherwise."""
    if after not in NEXT[before]:
        raise ImpossibleTransition("signal", before, after)
    return after


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A valid message, its numbers exact and its stamp in UTC.

    position: `Long_1`..`Long_6` or `ALL` (EXIT only); None for scouts and bars.
    price, stop, atr, supertrend: price units of the instrument; er: 0 to 1; lots: advisory.
    conditions, indicators: of an EOD_MONITOR only. payload: the message as sent, less its token.
    """

    kind: SignalKind
    instrument: str
    position: str | None
    timestamp: datetime
    price: Decimal
    atr: Decimal
    stop: Decimal | None = None
    er: Decimal | None = None
    supertrend: Decimal | None = None
    lots: int | None = None
    roc: Decimal | None = None
    reason: str | None = None
    entry_price: Decimal | None = None
    conditions: Mapping[str, bool] | None = None
    indicators: Mapping[str, Decimal] | None = None
    payload: Mapping[str, Any]

    @property
    def fingerprint(self) -> Fingerprint:
        """The identity of this signal within its account."""
        return fingerprint(self.instrument, self.kind, self.position, self.timestamp)

    @property
    def stamp(self) -> datetime:
        """The timestamp to the second: the very value that is hashed, and the partition key."""
        return self.timestamp.replace(microsecond=0)

    @property
    def layer_number(self) -> int:
        """1 for `Long_1`. Raises ValueError where the position is not a single layer."""
        if self.position is None or self.position not in LAYERS:
            raise ValueError(f"{self.kind} has no single layer")
        return int(self.position.removeprefix("Long_"))
