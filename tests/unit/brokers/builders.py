"""An order, and a client with short limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from ratchet.brokers.base import Order
from ratchet.brokers.openalgo.client import OpenAlgoBroker
from ratchet.brokers.openalgo.session import create_session
from ratchet.brokers.openalgo.transport import Timeouts
from ratchet.domain.identity import AccountId, IntentId
from ratchet.domain.orders import Side

KEY = "secret-key-5f1c"
INTENT = IntentId(UUID("0192f0c1-7f3a-7cde-8f00-000000000001"))
SHORT = Timeouts(pool=0.1, connect=0.3, read=0.3, total=0.8, quote=0.2, window=0.5)

ORDER = Order(
    intent_id=INTENT,
    exchange="NFO",
    symbol="BANKNIFTY29DEC26FUT",
    product="NRML",
    side=Side.BUY,
    quantity=35,
    price=Decimal("52000.05"),
)


@dataclass
class Told:
    """What the client told its observer."""

    calls: list[tuple[str, str, float]] = field(default_factory=list)

    def __call__(self, call: str, outcome: str, seconds: float) -> None:
        self.calls.append((call, outcome, seconds))

    @property
    def words(self) -> list[tuple[str, str]]:
        """Calls and how they ended."""
        return [(call, outcome) for call, outcome, _ in self.calls]


@asynccontextmanager
async def client(
    url: str,
    *,
    mode: str = "live",
    timeouts: Timeouts = SHORT,
    connections: int = 4,
    idle_seconds: float = 1.0,
    observe: Callable[[str, str, float], None] | None = None,
    answer_limit_bytes: int = 100_000,
    key: str = KEY,
    calls_per_second: int = 40,
) -> AsyncIterator[OpenAlgoBroker]:
    """Yield a client of the server at `url`, with a session of its own."""
    session = create_session(connections=connections, idle_seconds=idle_seconds)
    try:
        yield OpenAlgoBroker(
            AccountId("main"),
            url,
            key,
            mode,
            timeouts,
            session,
            observe=observe,
            answer_limit_bytes=answer_limit_bytes,
            calls_per_second=calls_per_second,
        )
    finally:
        await session.close()
