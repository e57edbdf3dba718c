"""What makes two messages the same signal, and the names of ids."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import NewType
from uuid import UUID

AccountId = NewType("AccountId", str)
StrategyId = NewType("StrategyId", str)
SignalId = NewType("SignalId", UUID)
IntentId = NewType("IntentId", UUID)
PositionId = NewType("PositionId", UUID)
Fingerprint = NewType("Fingerprint", str)
BrokerOrderId = NewType("BrokerOrderId", str)

NO_POSITION = "NONE"
"""The word that stands for the position of messages that have none (scouts and bars)."""


def fingerprint_text(instrument: str, kind: str, position: str | None, timestamp: datetime) -> str:
    """Return the text whose hash identifies a signal: `INSTRUMENT:KIND:POSITION:TIMESTAMP` in UTC, whole seconds.

    Source: docs/domain.md, section 3. Raises ValueError for a naive timestamp.
    """
    if timestamp.tzinfo is None:
        raise ValueError("timestamp must be aware")
    at = timestamp.astimezone(UTC).replace(microsecond=0)
    return f"{instrument.upper()}:{kind.upper()}:{position or NO_POSITION}:{at.isoformat()}"


def fingerprint(instrument: str, kind: str, position: str | None, timestamp: datetime) -> Fingerprint:
    """Return the SHA-256 (hex) of `fingerprint_text`."""
    text = fingerprint_text(instrument, kind, position, timestamp)
    return Fingerprint(hashlib.sha256(text.encode()).hexdigest())
