"""What a door (webhook, API, the executor itself) hands in, and what it gets back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ratchet.domain.identity import AccountId, SignalId, StrategyId
from ratchet.domain.signals import Signal, SignalStatus, Source


class Duplicate(StrEnum):
    """Why a signal is not new: the same fingerprint, or the same key within 60 s. Source: docs/domain.md, section 3."""

    EXACT = "exact"
    WINDOW = "window"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A valid signal at the door. payload_hash: SHA-256 of the canonical message without its token."""

    account: AccountId
    strategy: StrategyId
    signal: Signal
    payload_hash: str
    source: Source
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The durable answer: the id and status of the row that stands for the signal (the first one, if duplicate)."""

    id: SignalId
    status: SignalStatus
    duplicate: Duplicate | None


class NotDurable(Exception):
    """The accept could not be made durable (no database, commit in doubt): the sender must send again."""


class Overloaded(Exception):
    """Too many accepts wait already; nothing was stored."""
