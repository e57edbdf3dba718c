"""The sandbox's end of the day for MIS: open orders are cancelled, positions are closed at the market.

Done when the first call after the exchange's time comes in, which no client can tell from a timer. With sessions always
open there is no end of the day. Source: docs/openalgo-api.md, section 8.
"""

from collections.abc import Mapping
from datetime import datetime, time

from ratchet.brokers.simulator.book import Book
from ratchet.brokers.simulator.orders import ZERO, Order, PriceType, Side, Status
from ratchet.brokers.simulator.settings import IST

TIMES: Mapping[str, time] = {"NFO": time(15, 15), "MCX": time(23, 30)}
"""By exchange, IST."""

GHOST = "AUTO_SQUARE_OFF"
PRODUCT = "MIS"


def due(exchange: str, now: datetime) -> bool:
    """Tell whether the exchange's MIS business of the day is over."""
    closes = TIMES.get(exchange)
    return closes is not None and now.astimezone(IST).time() >= closes


def square_off(book: Book, now: datetime) -> None:
    """End MIS business on every exchange whose time has come; nothing happens the second time."""
    if not any(due(exchange, now) for exchange in TIMES):
        return
    for account in book.accounts():
        closing = {(order.exchange, order.symbol) for order in book.working(account) if order.ghost == GHOST}
        for order in book.working(account):
            if order.product == PRODUCT and order.ghost != GHOST and due(order.exchange, now):
                book.cancel(order, now)
        for key, position in list(book.positions(account, now).items()):
            if (key.exchange, key.symbol) in closing:
                continue
            if key.product == PRODUCT and position.quantity and due(key.exchange, now):
                side = Side.SELL if position.quantity > 0 else Side.BUY
                book.place(
                    Order(
                        order_id=book.new_order_id(now),
                        account=account,
                        ghost=GHOST,
                        origin="sandbox",
                        symbol=key.symbol,
                        exchange=key.exchange,
                        side=side,
                        product=PRODUCT,
                        price_type=PriceType.MARKET,
                        quantity=abs(position.quantity),
                        price=ZERO,
                        trigger_price=ZERO,
                        status=Status.OPEN,
                        placed_at=now,
                        updated_at=now,
                    )
                )
