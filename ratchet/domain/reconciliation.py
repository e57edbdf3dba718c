"""Comparing our books with the broker's: positions per symbol, and orders that nobody owns.

It only finds; it corrects nothing. Net positions cannot be split by layer, so sums per contract are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from ratchet.domain.orders import MAYBE_SENT, Intent
from ratchet.domain.resolving import BookOrder, matches


class Case(StrEnum):
    """How one contract compares. Source: docs/domain.md, section 12."""

    BOTH = "both"
    """The same signed quantity."""
    ONLY_OURS = "only_ours"
    ONLY_THEIRS = "only_theirs"
    QUANTITY_DIFFERS = "quantity_differs"
    SIGN_DIFFERS = "sign_differs"
    """Long here and short there: worse than a number that differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One contract's comparison. ours, theirs: signed net units."""

    exchange: str
    symbol: str
    case: Case
    ours: int
    theirs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationResult:
    """What a comparison found: one finding per contract that either side holds, by exchange and symbol."""

    findings: tuple[Finding, ...]

    @property
    def differences(self) -> tuple[Finding, ...]:
        """The findings that do not agree."""
        return tuple(finding for finding in self.findings if finding.case is not Case.BOTH)

    @property
    def agree(self) -> bool:
        """Whether the books are the same."""
        return not self.differences


def compare(ours: Mapping[tuple[str, str], int], theirs: Mapping[tuple[str, str], int]) -> ReconciliationResult:
    """Compare signed net units by (exchange, symbol). A quantity of 0 is the same as none.

    An answer that could not be read must not come here as an empty one: it would prove that all is gone.
    """
    findings = []
    for exchange, symbol in sorted(ours.keys() | theirs.keys()):
        mine, broker = ours.get((exchange, symbol), 0), theirs.get((exchange, symbol), 0)
        if mine or broker:
            case = _case(mine, broker)
            findings.append(Finding(exchange=exchange, symbol=symbol, case=case, ours=mine, theirs=broker))
    return ReconciliationResult(findings=tuple(findings))


def _case(ours: int, theirs: int) -> Case:
    if ours == theirs:
        return Case.BOTH
    if theirs == 0:
        return Case.ONLY_OURS
    if ours == 0:
        return Case.ONLY_THEIRS
    return Case.SIGN_DIFFERS if (ours > 0) != (theirs > 0) else Case.QUANTITY_DIFFERS


def orphans(
    book: Iterable[BookOrder], bound: Set[str], in_incident: Set[str], in_flight: Sequence[Intent]
) -> list[BookOrder]:
    """Return the orders of the book that no intent owns and no incident names.

    An order that an intent in doubt may still claim is left to its look-up. A baseline excuses nothing: it says that
    an order was there before a send, not whose it is. Source: docs/protocol.md, G4 and section 6.
    """
    claimants = [intent for intent in in_flight if intent.state in MAYBE_SENT]
    return [
        order
        for order in book
        if order.order_id not in bound
        and order.order_id not in in_incident
        and not any(matches(intent, order) for intent in claimants)
    ]
