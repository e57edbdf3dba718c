"""Faults on demand: a script of rules, and a seeded chaos for long runs.

A rule fires for the next `times` calls that it matches. What a fault does to an answer is decided in `disguise`,
what it does to an order in `quirks`; here is only which faults there are and which calls they hit.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class FaultKind(StrEnum):
    """What can go wrong."""

    REFUSE_4XX = "refuse_4xx"
    RATE_LIMIT_429 = "rate_limit_429"
    SESSION_LOST = "session_lost"
    SEMI_AUTO = "semi_auto"
    ERROR_500_BEFORE = "error_500_before"
    CUT_BEFORE = "cut_before"
    SLOW = "slow"
    HANG_THEN_BOOK = "hang_then_book"
    BOOK_500 = "book_500"
    NULL_ORDERID = "null_orderid"
    ERROR_500_AFTER = "error_500_after"
    ACCEPT_THEN_CUT = "accept_then_cut"
    ACCEPT_THEN_HANG = "accept_then_hang"
    GARBAGE_BODY = "garbage_body"
    WRONG_MODE = "wrong_mode"
    GATEWAY_502 = "gateway_502"
    GATEWAY_503 = "gateway_503"
    GATEWAY_504 = "gateway_504"
    STRING_NUMBERS = "string_numbers"
    ODD_TIMESTAMP = "odd_timestamp"
    PARTIAL_FILL = "partial_fill"
    NEVER_FILL = "never_fill"
    REJECT_AFTER_ACCEPT = "reject_after_accept"
    BOOK_LAG = "book_lag"
    ODD_STATUS = "odd_status"
    LIMIT_SHOWN = "limit_shown"


PLACE = "placeorder"
ORDER_CALLS = frozenset({PLACE, "modifyorder", "cancelorder"})
BOOK_CALLS = frozenset({"orderbook", "orderstatus", "tradebook", "positionbook", "openposition"})
ANY_CALL = "*"

ON_ORDERS = frozenset(
    {
        FaultKind.PARTIAL_FILL,
        FaultKind.NEVER_FILL,
        FaultKind.REJECT_AFTER_ACCEPT,
        FaultKind.BOOK_LAG,
        FaultKind.ODD_STATUS,
        FaultKind.LIMIT_SHOWN,
    }
)
"""Faults that change the booked order, not the answer to its placement."""

APPLIES: Mapping[FaultKind, frozenset[str]] = {
    FaultKind.NULL_ORDERID: frozenset({PLACE}),
    FaultKind.SEMI_AUTO: ORDER_CALLS,
    FaultKind.BOOK_500: BOOK_CALLS,
    FaultKind.STRING_NUMBERS: BOOK_CALLS | {"quotes", "funds"},
    FaultKind.ODD_TIMESTAMP: BOOK_CALLS,
    **{kind: frozenset({PLACE}) for kind in ON_ORDERS},
}
"""The endpoints that a fault makes sense on; those not named here suit every endpoint."""

BOOKED_BY_DEFAULT = frozenset(
    {
        FaultKind.ERROR_500_AFTER,
        FaultKind.ACCEPT_THEN_CUT,
        FaultKind.ACCEPT_THEN_HANG,
        FaultKind.GARBAGE_BODY,
        FaultKind.WRONG_MODE,
        FaultKind.STRING_NUMBERS,
        FaultKind.ODD_TIMESTAMP,
    }
)
EITHER_WAY = frozenset(
    {
        FaultKind.NULL_ORDERID,
        FaultKind.GARBAGE_BODY,
        FaultKind.WRONG_MODE,
        FaultKind.GATEWAY_502,
        FaultKind.GATEWAY_503,
        FaultKind.GATEWAY_504,
    }
)
"""Faults whose answer tells nothing about whether the call was carried out: `booked` chooses."""

DELAYS = frozenset({FaultKind.SLOW, FaultKind.HANG_THEN_BOOK})


def suits(kind: FaultKind, endpoint: str) -> bool:
    """Tell whether a fault makes sense on an endpoint (`*`: on any it suits)."""
    return endpoint == ANY_CALL or kind not in APPLIES or endpoint in APPLIES[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, with what it needs to know."""

    kind: FaultKind
    booked: bool
    """The call is carried out although its answer does not say so."""
    seconds: float = 1.0
    """How long to wait, or how long the effect lasts."""
    text: str = ""
    """Message, status word, timestamp format or body, by kind; empty: the kind's own."""
    status: int = 400
    fraction: Decimal = Decimal("0.5")
    """Share of the quantity that fills, rounded down to whole lots."""
    rest_follows: bool = False
    """The rest of a partial fill comes after `seconds`; otherwise never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which calls a rule looks at; None matches all."""

    symbol: str | None = None
    side: str | None = None
    account: str | None = None

    def hits(self, account: str, symbol: str | None, side: str | None) -> bool:
        """Tell whether a call is meant."""
        return self.account in (None, account) and self.symbol in (None, symbol) and self.side in (None, side)


@dataclass(slots=True, kw_only=True)
class Rule:
    """A fault, and the calls it happens to."""

    endpoint: str
    fault: Fault
    match: Match
    left: int | None
    """Calls it will still hit; None: no end."""
    probability: float
    chance: random.Random

    def fires(self, endpoint: str, account: str, symbol: str | None, side: str | None) -> bool:
        """Tell whether this call is hit, and count it if so."""
        if self.left == 0 or self.endpoint not in (ANY_CALL, endpoint) or not suits(self.fault.kind, endpoint):
            return False
        if not self.match.hits(account, symbol, side) or self.chance.random() >= self.probability:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class Chaos:
    """At most one fault a call, drawn from one seeded stream: the same seed and calls give the same faults."""

    def __init__(
        self,
        *,
        seed: int,
        rates: Mapping[FaultKind, float],
        max_hang_seconds: float,
        endpoints: frozenset[str] | None = None,
    ) -> None:
        """rates: chance (0 to 1) of each fault at each call that it suits; endpoints: None for all."""
        self.seed = seed
        self.rates = dict(sorted(rates.items()))
        self.max_hang_seconds = max_hang_seconds
        self.endpoints = endpoints
        self._chance = random.Random(seed)

    def draw(self, endpoint: str) -> Fault | None:
        """Return the fault of this call, usually none."""
        if self.endpoints is not None and endpoint not in self.endpoints:
            return None
        for kind, rate in self.rates.items():
            if suits(kind, endpoint) and self._chance.random() < rate:
                return self._fault(kind)
        return None

    def _fault(self, kind: FaultKind) -> Fault:
        booked = kind in BOOKED_BY_DEFAULT
        if kind in EITHER_WAY:
            booked = self._chance.random() < 0.5
        return Fault(
            kind=kind,
            booked=booked,
            seconds=self._chance.random() * self.max_hang_seconds,
            fraction=Decimal(self._chance.randrange(1, 10)) / 10,
            rest_follows=self._chance.random() < 0.5,
        )


class FaultScript:
    """The rules in force, in the order in which they were given, and the chaos if one is on."""

    def __init__(self) -> None:
        """Start without faults."""
        self.rules: list[Rule] = []
        self.chaos: Chaos | None = None
        self.fired: dict[str, int] = {}
        """How often each kind has happened since the last clearing."""

    def clear(self) -> None:
        """Forget all rules and the chaos."""
        self.rules.clear()
        self.chaos = None
        self.fired.clear()

    def take(self, endpoint: str, account: str, symbol: str | None, side: str | None) -> tuple[Fault, ...]:
        """Return every fault of this call, used up by it."""
        if not self.rules and self.chaos is None:
            return ()
        fired = [rule.fault for rule in self.rules if rule.fires(endpoint, account, symbol, side)]
        self.rules = [rule for rule in self.rules if rule.left != 0]
        drawn = self.chaos.draw(endpoint) if self.chaos is not None else None
        if drawn is not None:
            fired.append(drawn)
        for fault in fired:
            self.fired[fault.kind.value] = self.fired.get(fault.kind.value, 0) + 1
        return tuple(fired)
