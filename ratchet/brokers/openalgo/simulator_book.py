"""The simulated broker's own book, by its admin endpoint: every day's orders, and which request made which."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import aiohttp

from ratchet.brokers.audit_book import AuditBook, AuditOrder, OrderCall
from ratchet.brokers.base import BadAnswer, BrokerUnreachable
from ratchet.brokers.openalgo import wire
from ratchet.clock import Clock
from ratchet.domain.calendar import IST
from ratchet.domain.instruments import PRODUCT
from ratchet.domain.orders import Side
from ratchet.domain.resolving import BookOrder

NOT_OURS = "foreign"
"""The origin of orders that a person placed by hand."""


async def read_book(
    url: str, *, accounts: Mapping[str, str], base_key: str, clock: Clock, timeout_seconds: float
) -> AuditBook:
    """Read the book of a simulator at `url`.

    accounts: the API key of each account. base_key: the simulator's own; what follows it in a key names the account
    there. Raises BrokerUnreachable, BadAnswer.
    """
    read_at = clock.now()
    limit = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with aiohttp.ClientSession(timeout=limit) as http, http.get(f"{url.rstrip('/')}/admin/book") as answer:
            if answer.status != 200:
                raise BadAnswer(f"the simulator's book answered {answer.status}")
            body = await answer.json()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise BrokerUnreachable(f"the simulator's book cannot be read: {error}") from error
    names = {key.removeprefix(base_key).removeprefix("-"): account for account, key in accounts.items()}
    try:
        return _book(body, names, read_at)
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"the simulator's book cannot be understood: {error!r}") from error


def _book(body: Mapping[str, Any], names: Mapping[str, str], read_at: datetime) -> AuditBook:
    def account(row: Mapping[str, Any]) -> str:
        return names.get(row["account"], row["account"])

    positions: dict[tuple[str, str, str], int] = {}
    for row in body["positions"]:
        if row["product"] == PRODUCT and row["quantity"]:
            positions[account(row), row["exchange"], row["symbol"]] = row["quantity"]
    return AuditBook(
        read_at=read_at,
        orders=tuple(_order(account(row), row) for row in body["orders"]),
        positions=positions,
        days=None,
        calls=tuple(OrderCall(account=account(row), at=datetime.fromisoformat(row["at"])) for row in body["calls"]),
        knows_ghosts=True,
    )


def _order(account: str, row: Mapping[str, Any]) -> AuditOrder:
    return AuditOrder(
        account=account,
        order=BookOrder(
            order_id=row["order_id"],
            symbol=row["symbol"],
            exchange=row["exchange"],
            product=row["product"],
            side=Side(row["side"]),
            quantity=row["quantity"],
            status=row["status"],
            price=wire.to_decimal(row["price"]),
            average_price=wire.to_decimal(row["average_price"]),
            filled=row["filled"],
        ),
        day=datetime.fromisoformat(row["placed_at"]).astimezone(IST).date(),
        ghost="" if row["origin"] == NOT_OURS else row["intent_ghost"],
    )
