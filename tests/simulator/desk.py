"""A client of one simulated server over a real socket, with a clock that stands still until it is moved."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp

from ratchet.brokers.simulator import SimulatorServer, SimulatorSettings
from tests.fakes.clock import ManualClock

KEY = "test-key"
MONDAY = datetime(2027, 1, 11, 5, 0, tzinfo=UTC)
"""10:30 in India."""
CALL = "BANKNIFTY25JAN2758000CE"
PUT = "BANKNIFTY25JAN2758000PE"
GOLD = "GOLDM05FEB27FUT"
COPPER = "COPPER29JAN27FUT"

Reply = tuple[int, dict[str, Any]]


class Desk:
    """Calls, and what came back."""

    def __init__(self, server: SimulatorServer, http: aiohttp.ClientSession, clock: ManualClock) -> None:
        self.server = server
        self.http = http
        self.clock = clock

    async def call(self, endpoint: str, *, key: str = KEY, **fields: object) -> Reply:
        """POST one API call; a field that is None is sent as null."""
        body = {"apikey": key, **fields}
        async with self.http.post(f"{self.server.url}/api/v1/{endpoint}", json=body) as response:
            return response.status, await response.json()

    async def data(self, endpoint: str, **fields: Any) -> Any:
        """Return the `data` of a call that must succeed."""
        status, body = await self.call(endpoint, **fields)
        assert (status, body["status"]) == (200, "success"), body
        return body["data"]

    async def try_to_place(self, **changes: Any) -> Reply:
        """Place an order: by default BUY 60 units (2 lots) of a call at the market."""
        order: dict[str, Any] = {
            "strategy": "intent-1",
            "symbol": CALL,
            "exchange": "NFO",
            "action": "BUY",
            "quantity": 60,
            "pricetype": "MARKET",
            "product": "NRML",
        }
        return await self.call("placeorder", **(order | changes))

    async def place(self, **changes: Any) -> str:
        """Place an order that must be accepted; return its id."""
        status, body = await self.try_to_place(**changes)
        assert (status, body["status"]) == (200, "success"), body
        assert isinstance(body["orderid"], str)
        return body["orderid"]

    async def orders(self, key: str = KEY) -> list[dict[str, Any]]:
        """Return the rows of the order book."""
        rows: list[dict[str, Any]] = (await self.data("orderbook", key=key))["orders"]
        return rows

    async def status(self, order_id: str) -> dict[str, Any]:
        """Return one order as orderstatus shows it."""
        row: dict[str, Any] = await self.data("orderstatus", strategy="", orderid=order_id)
        return row

    async def admin(self, path: str, body: object = None, *, method: str = "") -> Any:
        """Call an admin endpoint that must succeed: GET without a body, POST with one."""
        status, answer = await self.try_admin(path, body, method=method)
        assert status == 200, answer
        return answer

    async def try_admin(self, path: str, body: object = None, *, method: str = "") -> Reply:
        """Call an admin endpoint."""
        verb = method or ("GET" if body is None else "POST")
        async with self.http.request(verb, f"{self.server.url}/admin/{path}", json=body) as response:
            return response.status, await response.json()

    async def fault(self, kind: str, **fields: object) -> None:
        """Script one fault."""
        await self.admin("faults", {"fault": kind, **fields})

    async def ghosts(self) -> list[str]:
        """Return the `strategy` of every booked order, as the auditor sees it."""
        return [row["intent_ghost"] for row in (await self.admin("book"))["orders"]]


async def until(condition: Callable[[], Awaitable[bool]], *, within_seconds: float = 5.0) -> None:
    """Wait until a condition holds. Raises TimeoutError if it does not in time."""
    async with asyncio.timeout(within_seconds):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.005)


@asynccontextmanager
async def open_desk(**settings: Any) -> AsyncIterator[Desk]:
    """Serve a simulator without rate limits unless asked, and open a client to it."""
    clock = ManualClock(MONDAY)
    given: dict[str, Any] = {
        "api_key": KEY,
        "rate_limits": False,
        "now": clock.now,
        "monotonic": clock.monotonic,
    } | settings
    async with SimulatorServer(SimulatorSettings(**given)) as server, aiohttp.ClientSession() as http:
        yield Desk(server, http, clock)
