"""Requests, ready to send: every signal new, over many accounts and all instruments."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ratchet.cli.samples import MARKETS, Market, Message, bar, base_entry, exit_layer

API_TOKEN = "api-token-of-the-measurements"
ACCOUNTS = 200
LANES = ACCOUNTS * len(MARKETS)
_APART = timedelta(seconds=61)
_REACH = timedelta(days=20)


class Stream:
    """Numbers signals so that none repeats: one lane after the other, then a minute later the first one again."""

    def __init__(self, began: datetime | None = None) -> None:
        self._next = 0
        self._began = (began or datetime.now(UTC) - _REACH).replace(microsecond=0)

    def entries(self, count: int) -> list[bytes]:
        """Return requests with so many new entries."""
        numbers = range(self._next, self._next + count)
        self._next += count
        return [
            request(account(n), base_entry(MARKETS[n // ACCOUNTS % len(MARKETS)], self._began + n // LANES * _APART))
            for n in numbers
        ]


def account(number: int) -> str:
    """Return one of the generated accounts."""
    return f"load-{number % ACCOUNTS + 1:02}"


def phase(make: Callable[[Market, datetime], Message], at: datetime) -> list[bytes]:
    """Return one signal for each lane."""
    return [request(account(n), make(market, at)) for market in MARKETS for n in range(ACCOUNTS)]


def close_base(market: Market, at: datetime) -> Message:
    """Close the base layer."""
    return exit_layer(market, at, "Long_1")


PHASES: dict[str, Callable[[Market, datetime], Message]] = {
    "BASE_ENTRY": base_entry,
    "MARKET_DATA": bar,
    "EXIT": close_base,
}
"""What each lane does, in this order."""


def request(of: str, message: Message) -> bytes:
    """Return the bytes of POST /signals."""
    body = json.dumps(message.body).encode()
    head = (
        f"POST /signals?account={of} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {API_TOKEN}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
