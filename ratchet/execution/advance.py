"""One turn of any signal: the way in from a claim to the kind's own module."""

from __future__ import annotations

from ratchet.domain.signals import SignalKind
from ratchet.execution import bars, entries, exits, scouts
from ratchet.execution.bars import Accept
from ratchet.execution.markets import Markets
from ratchet.execution.turns import Turn
from ratchet.failpoints import Failpoint, reach
from ratchet.persistence.claims import Claim
from ratchet.runtime import Runtime


async def advance(rt: Runtime, markets: Markets, claim: Claim, accept: Accept) -> Turn:
    """Take a claimed signal as far as it goes now. Raises ClaimLost, BrokerError, NoQuote, PersistenceError."""
    await reach(Failpoint.K20)
    match claim.kind:
        case SignalKind.BASE_ENTRY | SignalKind.PYRAMID:
            return await entries.advance(rt, markets, claim)
        case SignalKind.EXIT:
            return await exits.advance(rt, markets, claim)
        case SignalKind.MARKET_DATA:
            return await bars.advance(rt, markets, claim, accept)
        case SignalKind.EOD_MONITOR:
            return await scouts.advance(rt, claim)
