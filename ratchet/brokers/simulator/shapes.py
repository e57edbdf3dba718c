"""How orders, trades and positions look in answers: one shape in live mode, another in the sandbox.

The live shapes carry neither the strategy nor a filled quantity. Source: docs/openalgo-api.md, sections 4 and 5.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from ratchet.brokers.simulator.answers import Body
from ratchet.brokers.simulator.orders import ZERO, Order, Position, PositionKey, PriceType, Side, Status, Trade
from ratchet.brokers.simulator.quirks import INHERIT
from ratchet.brokers.simulator.settings import IST

STAMP = "%Y-%m-%d %H:%M:%S"
"""IST without an offset, whole seconds."""

_CENT = Decimal("0.01")


class UnreadableBookError(Exception):
    """The server itself cannot show its broker's book."""


def money(value: Decimal) -> Decimal:
    """Return a price or an amount rounded to two decimals."""
    return value.quantize(_CENT)


def stamp(instant: datetime) -> str:
    """Return an instant as books show it."""
    return instant.astimezone(IST).strftime(STAMP)


def shown_status(order: Order, now: datetime) -> str:
    """Return the status word that a book shows at `now`."""
    quirks = order.quirks
    if quirks.word is not None and (quirks.word_until is None or now < quirks.word_until):
        return quirks.word
    return order.status.value


def live_orders(orders: Iterable[Order], now: datetime) -> list[Body]:
    """Return the live order book, oldest first. Raises UnreadableBookError if its first row inherits its status."""
    rows: list[Body] = []
    for order in orders:
        status = shown_status(order, now)
        if status == INHERIT:
            if not rows:
                raise UnreadableBookError("cannot access local variable 'order_status'")
            status = str(rows[-1]["order_status"])
        rows.append(_live_order(order, status))
    return rows


def _live_order(order: Order, status: str) -> Body:
    shown_as_limit = order.quirks.shown_as_limit and order.price_type is PriceType.MARKET
    price = order.shown_price if shown_as_limit else order.price
    return {
        "symbol": order.symbol,
        "exchange": order.exchange,
        "action": order.side.value,
        "quantity": int(order.quantity),
        "price": money(price) if shown_as_limit or order.price_type is not PriceType.MARKET else ZERO,
        "trigger_price": money(order.trigger_price),
        "pricetype": PriceType.LIMIT.value if shown_as_limit else order.price_type.value,
        "product": order.product,
        "orderid": order.order_id,
        "order_status": status,
        "timestamp": stamp(order.placed_at),
    }


def live_order_status(order: Order, trades: Sequence[Trade], now: datetime) -> Body:
    """Return the live answer about one order: the first trade's price once complete. Raises UnreadableBookError."""
    row = live_orders([order], now)[0]
    row["average_price"] = money(trades[0].price) if order.status is Status.COMPLETE and trades else ZERO
    return row


def sandbox_order(order: Order, now: datetime) -> Body:
    """Return a row of the sandbox's order book."""
    row = _live_order(order, shown_status(order, now))
    row["price"] = money(order.shown_price if order.price_type is PriceType.MARKET else order.price)
    return row | {
        "average_price": money(order.average_price),
        "filled_quantity": int(order.filled),
        "pending_quantity": int(order.pending) if order.status.working else 0,
        "rejection_reason": order.reason,
        "strategy": order.ghost,
    }


def sandbox_order_status(order: Order, now: datetime) -> Body:
    """Return the sandbox's answer about one order, which spells the price type otherwise."""
    row = sandbox_order(order, now)
    row["price_type"] = row.pop("pricetype")
    del row["rejection_reason"]
    return row


def statistics(orders: Sequence[Order]) -> Body:
    """Return the counts below an order book."""
    return {
        "total_buy_orders": sum(order.side is Side.BUY for order in orders),
        "total_sell_orders": sum(order.side is Side.SELL for order in orders),
        "total_completed_orders": sum(order.status is Status.COMPLETE for order in orders),
        "total_open_orders": sum(order.status is Status.OPEN for order in orders),
        "total_rejected_orders": sum(order.status is Status.REJECTED for order in orders),
    }


def live_trade(order: Order, trade: Trade) -> Body:
    """Return a row of the live trade book: no trade id, time of day only."""
    return {
        "symbol": order.symbol,
        "exchange": order.exchange,
        "product": order.product,
        "action": order.side.value,
        "quantity": int(trade.quantity),
        "average_price": money(trade.price),
        "trade_value": money(trade.price * trade.quantity),
        "orderid": order.order_id,
        "timestamp": f"{trade.at.astimezone(IST):%H:%M:%S}",
    }


def sandbox_trade(order: Order, trade: Trade) -> Body:
    """Return a row of the sandbox's trade book."""
    return live_trade(order, trade) | {
        "price": money(trade.price),
        "tradeid": f"TRADE-{trade.at.astimezone(IST):%Y%m%d-%H%M%S}-{trade.trade_id[-8:]}",
        "strategy": order.ghost,
        "timestamp": stamp(trade.at),
    }


def live_position(key: PositionKey, position: Position, ltp: Decimal, pnl: Decimal) -> Body:
    """Return a row of the live position book; the average price is text. pnl: rupees."""
    return {
        "symbol": key.symbol,
        "exchange": key.exchange,
        "product": key.product,
        "quantity": int(position.quantity),
        "average_price": f"{position.average_price:.2f}",
        "ltp": money(ltp),
        "pnl": money(pnl),
    }


def sandbox_position(
    key: PositionKey, position: Position, ltp: Decimal, realised: Decimal, unrealised: Decimal, multiplier: Decimal
) -> Body:
    """Return a row of the sandbox's position book. realised, unrealised: rupees."""
    entry = abs(position.quantity) * position.average_price * multiplier
    return live_position(key, position, ltp, realised + unrealised) | {
        "average_price": money(position.average_price),
        "pnlpercent": money(unrealised / entry * 100) if entry else ZERO,
        "unrealized_pnl": money(unrealised),
        "today_realized_pnl": money(realised),
        "total_pnl_today": money(realised + unrealised),
        "lot_size": multiplier,
    }
