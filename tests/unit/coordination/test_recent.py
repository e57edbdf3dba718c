"""The in-process cache of recent signals."""

from __future__ import annotations

from uuid import uuid4

import pytest

from ratchet.coordination import Recent, Seen
from ratchet.domain.identity import AccountId, Fingerprint, SignalId
from ratchet.domain.signals import SignalStatus
from tests.fakes.clock import ManualClock

pytestmark = pytest.mark.asyncio

MAIN, OTHER = AccountId("main"), AccountId("other")


def fp(text: str) -> Fingerprint:
    """Name a fingerprint."""
    return Fingerprint(text)


def seen(status: SignalStatus = SignalStatus.ACCEPTED) -> Seen:
    """Return what a row would tell."""
    return Seen(SignalId(uuid4()), status, "hash")


async def test_a_remembered_signal_is_found_in_its_account_only() -> None:
    recent, entry = Recent(ManualClock()), seen()
    recent.put(MAIN, fp("a"), entry)
    assert recent.get(MAIN, fp("a")) == entry
    assert recent.get(OTHER, fp("a")) is None
    assert recent.get(MAIN, fp("b")) is None


async def test_the_one_unused_for_longest_is_forgotten_first() -> None:
    recent = Recent(ManualClock(), limit=2)
    recent.put(MAIN, fp("a"), seen())
    recent.put(MAIN, fp("b"), seen())
    recent.get(MAIN, fp("a"))
    recent.put(MAIN, fp("c"), seen())
    assert recent.get(MAIN, fp("a")) is not None
    assert recent.get(MAIN, fp("b")) is None
    assert len(recent) == 2


async def test_a_signal_is_forgotten_after_its_time() -> None:
    clock = ManualClock()
    recent = Recent(clock, seconds=60)
    recent.put(MAIN, fp("a"), seen())
    await clock.advance(59.9)
    assert recent.get(MAIN, fp("a")) is not None
    await clock.advance(0.1)
    assert recent.get(MAIN, fp("a")) is None


async def test_a_newer_status_replaces_the_older() -> None:
    recent = Recent(ManualClock())
    recent.put(MAIN, fp("a"), seen())
    recent.put(MAIN, fp("a"), seen(SignalStatus.EXECUTED))
    found = recent.get(MAIN, fp("a"))
    assert found is not None and found.terminal
    assert len(recent) == 1
