"""Switches that take one safeguard out of the protocol, so that the soak can prove it would notice.

For tests only: the settings refuse a broken build unless the broker is the simulator. Nothing is broken by default.
"""

from enum import StrEnum


class Broken(StrEnum):
    """The safeguard that a broken build lacks. Source: docs/protocol.md, the elements marked as carrying the proof."""

    NO_INTENT = "no_intent"
    """The order is sent before its intent is durable."""
    NO_COMPARE_AND_SET = "no_compare_and_set"
    """The permission to send is written without comparing the intent's state and the claim's epoch."""
    NO_SLOT = "no_slot"
    """Several intents of one symbol and side may be in flight."""
    RESEND_AFTER_ABSENCE = "resend_after_absence"
    """An entry that was not found at the broker is sent again."""
    NO_LANE_LOCK = "no_lane_lock"
    """Open quantity is read without locking the instrument's lane."""
    NO_BASELINE = "no_baseline"
    """A look-up does not exclude the orders that were there before the send."""
    NO_FENCE = "no_fence"
    """A leader's transactions do not compare its epoch with the database's."""
    NO_ROLLOVER_CLAIM = "no_rollover_claim"
    """A roll may be begun beside an unfinished one of its layer, and driven by whoever comes."""


_chosen: Broken | None = None


def choose(name: str | None) -> None:
    """Make this process the broken build `name`; None or an empty string makes it whole again.

    Raises ValueError if there is no such build.
    """
    global _chosen
    _chosen = Broken(name) if name else None


def is_broken(safeguard: Broken) -> bool:
    """Tell whether this process lacks `safeguard`."""
    return _chosen is safeguard
