"""A sender of signals that does not give up, as TradingView does not: 5xx and lost connections are sent again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from ratchet.domain.signals import TERMINAL
from tests.messages import message
from tests.servers.waiting import eventually

TRY_SECONDS = 3.0
"""TradingView gives up on a call after this time."""
ENDS = frozenset({*(str(status) for status in TERMINAL), "review"})


class Unsent(AssertionError):
    """No service has answered a signal within the sender's patience, or it was refused for good (4xx)."""


@dataclass(slots=True)
class Delivery:
    """One signal and what its sender was told. duplicate: exact, window or None. failures: of earlier tries."""

    id: str
    status: str
    duplicate: str | None
    account: str | None
    body: bytes
    failures: list[str] = field(default_factory=list)


class Client:
    """Asks services over HTTP. urls: where services are at this moment; a try goes to the next one of them."""

    def __init__(self, urls: Callable[[], Sequence[str]], *, api_token: str, pause_seconds: float = 0.1) -> None:
        self._urls = urls
        self._headers = {"authorization": f"Bearer {api_token}"}
        self._pause = pause_seconds
        self._turn = 0
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=TRY_SECONDS)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def deliver(
        self,
        kind: str,
        instrument: str = "GOLD_MINI",
        *,
        account: str | None = None,
        within: float = 30.0,
        **fields: Any,
    ) -> Delivery:
        """Send a message stamped now until a service answers it durably. Raises Unsent."""
        return await self.deliver_body(message(kind, instrument, **fields), account=account, within=within)

    async def deliver_body(self, body: bytes, *, account: str | None = None, within: float = 30.0) -> Delivery:
        """The same for the bytes of a message. Raises Unsent."""
        query = "" if account is None else f"?account={account}"
        failures: list[str] = []
        deadline = asyncio.get_running_loop().time() + within
        while True:
            status, answer = await self.ask("POST", f"/signals{query}", body)
            if status in (200, 202):
                return Delivery(answer["id"], answer["status"], answer["duplicate"], account, body, failures)
            if 400 <= status < 500 and status != 429:
                raise Unsent(f"refused with {status}: {answer}")
            failures.append(f"{status}: {str(answer)[:200]}")
            if asyncio.get_running_loop().time() > deadline:
                raise Unsent(f"not answered within {within} s: {failures[-3:]}")
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))

    async def ask(
        self, method: str, path: str, body: bytes | None = None, *, url: str | None = None
    ) -> tuple[int, Any]:
        """Make one call and return status and JSON (or text); 0 and the error's words if there was no answer."""
        status, _, answer = await self.look(method, path, body, url=url)
        return status, answer

    async def look(
        self, method: str, path: str, body: bytes | None = None, *, url: str | None = None
    ) -> tuple[int, Mapping[str, str], Any]:
        """The same, with the answer's headers."""
        base = url or self._next()
        if base is None or self._session is None:
            return 0, {}, "no service listens"
        try:
            async with self._session.request(method, base + path, data=body, headers=self._headers) as answer:
                if "json" in answer.content_type:
                    return answer.status, answer.headers, await answer.json(content_type=None)
                return answer.status, answer.headers, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, {}, f"{type(error).__name__}: {error}"

    async def signal(self, signal_id: str) -> dict[str, Any] | None:
        """Return a signal as the API shows it, None if no service can tell now."""
        status, answer = await self.ask("GET", f"/signals/{signal_id}")
        return answer if status == 200 else None

    async def ended(self, delivery: Delivery, *, within: float = 20.0) -> dict[str, Any]:
        """Wait for a signal's end (a review counts) and return it. Raises AssertionError with what was seen last."""
        seen: dict[str, Any] = {}

        async def over() -> bool:
            seen.update(await self.signal(delivery.id) or {})
            return seen.get("status") in ENDS

        try:
            await eventually(over, within=within)
        except AssertionError:
            raise AssertionError(f"the signal has not ended within {within} s: {seen}") from None
        return seen

    def _next(self) -> str | None:
        urls = self._urls()
        self._turn += 1
        return urls[self._turn % len(urls)] if urls else None
