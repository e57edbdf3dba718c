"""The simulated broker as tests see it: its true book, its faults, its prices."""

from __future__ import annotations

from typing import Any

import aiohttp


class BrokerDesk:
    """Calls the admin endpoints of a simulator. Raises aiohttp.ClientError while it is away."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def book(self) -> dict[str, Any]:
        """Return all orders (each with the intent that made it), positions and order calls, of every account."""
        answer: dict[str, Any] = await self.admin("book")
        return answer

    async def fault(self, kind: str, **fields: Any) -> None:
        """Script a fault, by default for the next call that it suits."""
        await self.admin("faults", {"fault": kind, **fields})

    async def chaos(self, seed: int, rates: dict[str, float], *, max_hang_seconds: float = 1.0) -> None:
        """Let faults happen at random until `calm`. rates: chance of each fault at each call."""
        values = {"seed": seed, "rates": rates, "max_hang_seconds": max_hang_seconds}
        await self.admin("faults", {"faults": [], "chaos": values})

    async def calm(self) -> None:
        """Forget all faults."""
        await self.admin("faults", method="DELETE")

    async def admin(self, path: str, body: object = None, *, method: str | None = None) -> Any:
        """Call an admin endpoint: GET without a body, POST with one."""
        verb = method or ("GET" if body is None else "POST")
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5), raise_for_status=True) as session,
            session.request(verb, f"{self.url}/admin/{path}", json=body) as answer,
        ):
            return await answer.json()
