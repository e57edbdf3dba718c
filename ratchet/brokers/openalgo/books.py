"""Readers of the account's books: orders, trades, positions, money. Both modes' spellings, and the plugins' own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from ratchet.brokers.base import BadAnswer, Trade
from ratchet.brokers.openalgo import wire
from ratchet.brokers.openalgo.wire import Fields
from ratchet.domain.instruments import PRODUCT
from ratchet.domain.resolving import BookOrder

_AVERAGE = ("average_price", "averageprice", "avgprice")
_FILLED = ("filled_quantity", "filledquantity", "filledshares", "filledqty")
_STATUS = ("order_status", "orderstatus", "status")
_ORDER_ID = ("orderid", "order_id")
_SIDE = ("action", "transaction_type")


def orders(body: Fields) -> Sequence[BookOrder]:
    """Read an order book. One row that cannot be read makes the book unreadable: a gap would pass for absence."""
    return [order(row) for row in wire.rows(wire.mapping(body, "data"), "orders")]


def order(row: Fields) -> BookOrder:
    """Read one order. A status word that nobody knows is kept as it is; whoever reads it takes it for in flight."""
    return BookOrder(
        order_id=wire.text(row, *_ORDER_ID),
        # a broker's row is unnamed where OpenAlgo's master file lacks the contract
        symbol=wire.text_or_nothing(row, "symbol"),
        exchange=wire.text_or_nothing(row, "exchange"),
        product=wire.text_or_nothing(row, "product"),
        side=wire.side(row, *_SIDE),
        quantity=wire.whole(row, "quantity"),
        status=wire.text(row, *_STATUS).lower(),
        price=wire.number_or_none(row, "price"),
        average_price=wire.number_or_none(row, *_AVERAGE),
        filled=wire.whole_or_none(row, *_FILLED),
    )


def trades(body: Fields) -> Sequence[Trade]:
    """Read a trade book; an order has one row for each of its fills."""
    return [
        Trade(
            order_id=wire.text(row, *_ORDER_ID),
            exchange=wire.text_or_nothing(row, "exchange"),
            symbol=wire.text_or_nothing(row, "symbol"),
            side=wire.side(row, *_SIDE),
            quantity=wire.whole(row, "quantity", *_FILLED),
            price=wire.number(row, *_AVERAGE, "price"),
        )
        for row in wire.rows(body, "data")
    ]


def positions(body: Fields) -> Mapping[tuple[str, str], int]:
    """Read the net units by (exchange, symbol) of what is carried overnight; positions closed today are left out."""
    found: dict[tuple[str, str], int] = {}
    for row in wire.rows(body, "data"):
        if wire.text_or_nothing(row, "product").upper() != PRODUCT:
            continue
        key = (wire.text(row, "exchange"), wire.text(row, "symbol"))
        found[key] = found.get(key, 0) + wire.whole(row, "quantity", "netqty")
    return {key: units for key, units in found.items() if units != 0}


def funds(body: Fields) -> Mapping[str, Decimal]:
    """Read the money by the broker's own names. Fields that are no amounts (times, counts in words) are left out."""
    amounts = ((name, wire.to_decimal(value)) for name, value in wire.mapping(body, "data").items())
    return {name: amount for name, amount in amounts if amount is not None}


def server_mode(body: Fields) -> str:
    """Read the mode that the whole server is in: `live` or `analyze`."""
    data = wire.mapping(body, "data")
    flag = data.get("analyze_mode")
    if isinstance(flag, bool):
        return "analyze" if flag else "live"
    mode = wire.text(data, "mode")
    if mode not in ("live", "analyze"):
        raise BadAnswer(f"field 'mode': cannot read {mode[:60]!r}")
    return mode


def plugin(body: Fields) -> str:
    """Read the name of the plugin that talks to the broker; "" where it is not told."""
    data = body.get("data")
    return wire.text_or_nothing(data, "broker").lower() if isinstance(data, dict) else ""
