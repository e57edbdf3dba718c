"""A desk in a test's hands: a whole world with quick ladders, the simulator's admin side, and the books' comparison."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
from sqlalchemy import func, select, update

import ratchet.config
from ratchet.domain.calendar import IST
from ratchet.domain.identity import AccountId, BrokerOrderId
from ratchet.domain.orders import Intent, IntentState
from ratchet.execution.submission import Receipt
from ratchet.persistence import control, intents, layers
from ratchet.persistence.tables import event_log, incident, order_intent, signal_log
from ratchet.persistence.types import db_now
from tests.servers.waiting import eventually
from tests.world import ACCOUNT, PATIENCE, World, world

QUICK = {
    "  rungs: 10\n": "  rungs: 3\n",
    "rung_seconds: 1.5": "rung_seconds: 0.15",
    "option_rungs: 20": "option_rungs: 2",
}
"""The ladder of the shipped portfolio, made short."""

SHIPPED = Path(ratchet.config.__file__).parent / "default_portfolio.yaml"


@dataclass
class Desk:
    """A world, and what a test does to its broker."""

    world: World
    http: aiohttp.ClientSession

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the simulator's admin side."""
        url = f"{self.world.simulator.url}/admin/{path}"
        async with self.http.request(method, url, json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def fault(self, kind: str, **fields: Any) -> None:
        """Let the next matching call go wrong."""
        await self.admin("POST", "faults", {"fault": kind, **fields})

    async def quote(self, underlying: str, ltp: str | int) -> None:
        """Move the market."""
        await self.admin("POST", "quotes", {"underlying": underlying, "ltp": str(ltp)})

    async def orders(self) -> list[dict[str, Any]]:
        """Return the broker's orders, oldest first."""
        orders: list[dict[str, Any]] = (await self.admin("GET", "book"))["orders"]
        return sorted(orders, key=lambda order: str(order["placed_at"]))

    async def positions(self) -> dict[str, int]:
        """Return what the broker holds, by symbol."""
        rows = (await self.admin("GET", "book"))["positions"]
        return {row["symbol"]: row["quantity"] for row in rows if row["quantity"]}

    async def foreign(self, like: dict[str, Any]) -> str:
        """Let a person place the same order by hand; returns its id."""
        body = {
            "symbol": like["symbol"],
            "exchange": like["exchange"],
            "action": like["side"],
            "quantity": like["quantity"],
            "pricetype": "MARKET",
        }
        order = (await self.admin("POST", "foreign-order", body))["order"]
        return str(order["order_id"])

    async def close_exchange(self) -> None:
        """End the session at every exchange; the next one begins tomorrow."""
        tomorrow = (datetime.now(IST) + timedelta(days=1)).date().isoformat()
        days = [
            {"exchange": exchange, "start": "09:00", "end": "23:30", "date": tomorrow} for exchange in ("MCX", "NFO")
        ]
        await self.admin("POST", "timings", {"sessions": "explicit", "days": days})
        self.forget_the_day()

    async def open_exchange(self) -> None:
        """Open every exchange for good."""
        await self.admin("POST", "timings", {"sessions": "always"})
        self.forget_the_day()

    def forget_the_day(self) -> None:
        """Let the pod ask for the day's sessions anew, as it does each morning."""
        self.world.pod.markets._cache._day = None

    async def wake(self) -> None:
        """Let every waiting signal of the account be due, as its lane's next event does."""
        async with self.world.rt.db.transaction(name="test") as tx:
            await tx.count(update(signal_log).where(signal_log.c.owner.is_(None)).values(lease_until=db_now()))

    async def cancel(self, order_id: str) -> None:
        """Cancel an order behind the executor's back."""
        await self.world.rt.broker(AccountId(ACCOUNT)).cancel(BrokerOrderId(order_id))

    async def switch(self, *, entries: bool = True, exits: bool = True) -> None:
        """Turn sending on or off."""
        async with self.world.rt.db.transaction(name="test") as tx:
            await control.switch(tx, entries_on=entries, exits_on=exits, reason="test", actor="test")

    async def switches(self) -> tuple[bool, bool]:
        """Return whether entries and exits may be sent."""
        async with self.world.rt.db.single(name="test") as tx:
            now = await control.read(tx)
        return now.entries_on, now.exits_on

    async def incidents(self) -> list[str]:
        """Return the kinds of all incidents, sorted."""
        async with self.world.rt.db.single(name="test") as tx:
            return sorted(row["kind"] for row in await tx.all(select(incident.c.kind)))

    async def events(self, stream: str) -> list[dict[str, Any]]:
        """Return a stream's events in order."""
        statement = select(event_log).where(event_log.c.stream == stream).order_by(event_log.c.seq)
        async with self.world.rt.db.single(name="test") as tx:
            return [dict(row) for row in await tx.all(statement)]

    async def signals(self) -> int:
        """Return how many signals are stored."""
        async with self.world.rt.db.single(name="test") as tx:
            return int((await tx.one(select(func.count().label("n")).select_from(signal_log)))["n"])

    async def intents(self, signal: Receipt | UUID) -> list[Intent]:
        """Return a signal's orders."""
        row = await self.world.row(signal.id if isinstance(signal, Receipt) else signal)
        return await self.world.intents_of(row)

    async def reaches(self, receipt: Receipt, *states: IntentState) -> Intent:
        """Wait until one of a signal's orders is in one of the states."""

        async def there() -> Intent | None:
            return next((i for i in await self.intents(receipt) if i.state in states), None)

        found = await eventually(there, within=PATIENCE)
        assert found is not None
        return found

    async def check(self, *, strangers: int = 0) -> None:
        """Compare all books: ours with themselves, and with the broker's. strangers: orders that are not ours."""
        async with self.world.rt.db.transaction(name="test") as tx:
            every = [intents.intent_of(row) for row in await tx.all(select(order_intent))]
            live = await layers.live_of_account(tx, ACCOUNT)
            counts = select(event_log.c.stream, func.max(event_log.c.seq).label("last"), func.count().label("n"))
            streams = await tx.all(counts.group_by(event_log.c.stream))
        purse = await self.world.purse()
        held = [i for i in every if i.in_flight or i.state is IntentState.REVIEW]
        assert purse.reserved == sum((i.reserved for i in held), Decimal(0)), "reserved"
        assert purse.used == sum((layer.margin for layer in live), Decimal(0)), "used"
        orders = await self.orders()
        ghosts = [order["intent_ghost"] for order in orders if order["origin"] != "foreign"]
        assert len(set(ghosts)) == len(ghosts), "an intent has made two orders"
        if not strangers:
            ours: dict[str, int] = {}
            for layer in live:
                for holding in layer.holdings:
                    ours[holding.symbol] = ours.get(holding.symbol, 0) + holding.quantity
            assert {s: q for s, q in ours.items() if q} == await self.positions(), "positions"
        assert len(orders) - len(ghosts) == strangers
        assert all(row["last"] == row["n"] for row in streams), "events"


@asynccontextmanager
async def desk(
    home: Path, database_url: str, portfolio: Mapping[str, str] | None = None, **more: Any
) -> AsyncIterator[Desk]:
    """Open a desk. portfolio: text of the shipped one, and what stands there instead."""
    text = SHIPPED.read_text()
    for old, new in {**QUICK, **(portfolio or {})}.items():
        assert old in text, f"{old!r} does not stand in the shipped portfolio"
        text = text.replace(old, new)
    file = home / "portfolio.yaml"
    file.write_text(text)
    async with world(home, database_url, portfolio_file=file, **more) as opened, aiohttp.ClientSession() as http:
        yield Desk(world=opened, http=http)
