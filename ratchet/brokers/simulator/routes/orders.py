"""placeorder, modifyorder, cancelorder."""

from dataclasses import replace

from ratchet.brokers.simulator.acceptance import refusal
from ratchet.brokers.simulator.answers import Answer
from ratchet.brokers.simulator.orders import Order, PriceType, Side, Status
from ratchet.brokers.simulator.quirks import quirks_of
from ratchet.brokers.simulator.routes.pipeline import Call
from ratchet.brokers.simulator.simulator import Simulator

_STOPS = (PriceType.SL, PriceType.SL_M)
_UNKNOWN_TO_BROKER = "Order does not exist or is no longer open."


def place(call: Call) -> Answer:
    """Book an order, unless it is refused; fills at once what can fill at once."""
    order = new_order(call)
    if order.quantity != order.quantity.to_integral_value():
        return call.error(400, "Quantity must be a whole number.")
    reason = refusal(call.simulator, order)
    if reason is not None:
        return call.error(400, reason)
    instrument = call.simulator.master.find(order.exchange, order.symbol)
    if call.faults and instrument is not None:
        order = replace(order, quirks=quirks_of(call.faults, order.quantity, instrument.underlying.lot, call.now))
    call.simulator.book.place(order)
    return call.success(orderid=order.order_id)


def new_order(call: Call, origin: str = "api") -> Order:
    """Return the order that a placement asks for, not booked yet."""
    simulator: Simulator = call.simulator
    price_type = PriceType(call.text("pricetype"))
    quote = simulator.quote_of(call.text("exchange"), call.text("symbol"))
    return Order(
        order_id=simulator.book.new_order_id(call.now),
        account=call.account,
        ghost=call.text("strategy"),
        origin=origin,
        symbol=call.text("symbol"),
        exchange=call.text("exchange"),
        side=Side(call.text("action").upper()),
        product=call.text("product"),
        price_type=price_type,
        quantity=call.number("quantity"),
        price=call.number("price"),
        trigger_price=call.number("trigger_price"),
        status=Status.TRIGGER_PENDING if price_type in _STOPS else Status.OPEN,
        shown_price=quote.ltp if quote is not None else call.number("price"),
        placed_at=call.now,
        updated_at=call.now,
    )


def modify(call: Call) -> Answer:
    """Change a working order's terms; in the sandbox only quantity, price and trigger."""
    order = call.simulator.book.order(call.account, call.text("orderid"))
    if order is None:
        if call.live:
            return call.error(400, _UNKNOWN_TO_BROKER)
        return call.error(404, f"Order {call.text('orderid')} not found")
    if not order.status.working:
        text = _UNKNOWN_TO_BROKER if call.live else f"Cannot modify order in {order.status.value} status"
        return call.error(400, text)
    reason = _modification_refusal(call, order)
    if reason is not None:
        return call.error(400, reason)
    price_type = PriceType(call.text("pricetype")) if call.live else order.price_type
    call.simulator.book.modify(
        replace(
            order,
            quantity=call.number("quantity"),
            price=call.number("price"),
            trigger_price=call.number("trigger_price"),
            price_type=price_type,
        ),
        call.now,
    )
    if call.live:
        return call.success(orderid=order.order_id)
    return call.success(orderid=order.order_id, message=f"Order {order.order_id} modified successfully")


def _modification_refusal(call: Call, order: Order) -> str | None:
    quantity, price = call.number("quantity"), call.number("price")
    instrument = call.simulator.master.find(order.exchange, order.symbol)
    if quantity <= order.filled or (instrument is not None and quantity % instrument.underlying.lot):
        return f"Quantity {quantity} cannot be taken: {order.filled} is filled."
    if call.live:
        tick = instrument.underlying.tick if instrument is not None else None
        if tick is not None and (price % tick or call.number("trigger_price") % tick):
            return f"Tick size for this script is {tick}. Kindly enter price in the multiple of tick size."
        return None
    if price and order.price_type in (PriceType.MARKET, PriceType.SL_M):
        return f"Price cannot be set for {order.price_type.value} orders"
    if call.number("trigger_price") and order.price_type is PriceType.LIMIT:
        return "Trigger price cannot be set for LIMIT orders"
    return None


def cancel(call: Call) -> Answer:
    """Cancel a working order; the broker's refusals come as a 500 in live mode."""
    order_id = call.text("orderid")
    order = call.simulator.book.order(call.account, order_id)
    if order is None or not order.status.working:
        if call.live:
            return call.error(500, f"Failed to cancel order: HTTP 400: {_UNKNOWN_TO_BROKER}")
        if order is None:
            return call.error(404, f"Order {order_id} not found")
        return call.error(400, f"Cannot cancel order in {order.status.value} status")
    call.simulator.book.cancel(order, call.now)
    if call.live:
        return call.success(orderid=order_id)
    return call.success(orderid=order_id, message=f"Order {order_id} cancelled successfully")
