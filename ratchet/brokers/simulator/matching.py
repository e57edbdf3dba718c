"""When an order fills, and at what price. Pure: an order and a quote in, the order and its trades out.

Rules of the sandbox, used in both modes: MARKET at bid or ask, a LIMIT that is marketable on arrival at the last price,
a resting one at its own price when the last price crosses it, stops at the last price once triggered.
Source: docs/openalgo-api.md, analyze mode.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from ratchet.brokers.simulator.orders import Order, PriceType, Side, Status
from ratchet.brokers.simulator.quotes import Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A quantity (units) and its price (rupees per quoted unit)."""

    quantity: Decimal
    price: Decimal


def work(order: Order, quote: Quote, now: datetime, *, arriving: bool) -> tuple[Order, Fill | None]:
    """Return what becomes of a working order at this quote, with the fill if there is one.

    arriving: the order (or its new price) has just come in, so a marketable limit takes the market's price.
    An order that can no longer fill is returned as it is.
    """
    if not order.status.working:
        return order, None
    if order.quirks.reject_at is not None and now >= order.quirks.reject_at and order.filled == 0:
        return replace(order, status=Status.REJECTED, reason=order.quirks.reject_text, updated_at=now), None
    if order.status is Status.TRIGGER_PENDING:
        if not _triggered(order, quote):
            return order, None
        order = replace(order, status=Status.OPEN, updated_at=now)
        arriving = True
    price = _fill_price(order, quote, arriving)
    limit = order.quirks.limits_at(now)
    fillable = (order.quantity if limit is None else min(limit, order.quantity)) - order.filled
    if price is None or fillable <= 0:
        return order, None
    return filled(order, Fill(quantity=fillable, price=price), now)


def filled(order: Order, fill: Fill, now: datetime) -> tuple[Order, Fill]:
    """Return the order after `fill`, complete when nothing is left."""
    total = order.filled + fill.quantity
    average = (order.average_price * order.filled + fill.price * fill.quantity) / total
    status = Status.COMPLETE if total >= order.quantity else order.status
    return replace(order, filled=total, average_price=average, status=status, updated_at=now), fill


def _triggered(order: Order, quote: Quote) -> bool:
    if order.side is Side.BUY:
        return quote.ltp >= order.trigger_price
    return quote.ltp <= order.trigger_price


def _fill_price(order: Order, quote: Quote, arriving: bool) -> Decimal | None:
    if order.price_type is PriceType.MARKET:
        return quote.ask if order.side is Side.BUY else quote.bid
    if order.price_type is PriceType.SL_M:
        return quote.ltp
    crosses = quote.ltp <= order.price if order.side is Side.BUY else quote.ltp >= order.price
    if not crosses:
        return None
    return quote.ltp if arriving else order.price
