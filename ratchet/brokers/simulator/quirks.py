"""What the faults of a placement do to the order that it books."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from ratchet.brokers.simulator.faults import Fault, FaultKind
from ratchet.brokers.simulator.orders import PLAIN, ZERO, Quirks

INHERIT = "inherit"
"""A status word that a row lacks: it shows the row before it, and the first row fails the whole book."""

_DEFAULT_WORD = "put order req received"
_DEFAULT_REJECTION = "RMS: the order was rejected by the exchange"


def quirks_of(faults: Iterable[Fault], quantity: Decimal, lot: int, now: datetime) -> Quirks:
    """Return how an order of `quantity` units (lots of `lot`) behaves under these faults from `now` on."""
    quirks = PLAIN
    for fault in faults:
        quirks = _with(quirks, fault, quantity, lot, now + timedelta(seconds=fault.seconds))
    return quirks


def _with(quirks: Quirks, fault: Fault, quantity: Decimal, lot: int, until: datetime) -> Quirks:
    match fault.kind:
        case FaultKind.PARTIAL_FILL:
            lots = quantity * fault.fraction // lot
            return replace(quirks, fill_limit=lots * lot, rest_at=until if fault.rest_follows else None)
        case FaultKind.NEVER_FILL:
            return replace(quirks, fill_limit=ZERO, rest_at=None)
        case FaultKind.REJECT_AFTER_ACCEPT:
            text = fault.text or _DEFAULT_REJECTION
            return replace(quirks, reject_at=until, reject_text=text, fill_limit=ZERO)
        case FaultKind.BOOK_LAG:
            return replace(quirks, visible_at=until)
        case FaultKind.ODD_STATUS:
            return replace(quirks, word=fault.text or _DEFAULT_WORD, word_until=until)
        case FaultKind.LIMIT_SHOWN:
            return replace(quirks, shown_as_limit=True)
        case _:
            return quirks
