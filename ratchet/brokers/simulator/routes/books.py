"""orderbook, orderstatus, tradebook, positionbook, openposition, funds."""

from collections.abc import Iterator

from ratchet.brokers.simulator import shapes
from ratchet.brokers.simulator.answers import Answer, Body
from ratchet.brokers.simulator.money import funds_of, rupees
from ratchet.brokers.simulator.orders import ZERO, Order, Position, PositionKey, Status
from ratchet.brokers.simulator.routes.pipeline import Call


def order_book(call: Call) -> Answer:
    """Return the day's orders: the broker's order in live mode, newest first in the sandbox."""
    orders = list(_days_orders(call))
    statistics = shapes.statistics(orders)
    if call.live:
        try:
            rows = shapes.live_orders(orders, call.now)
        except shapes.UnreadableBookError as unreadable:
            return call.error(500, str(unreadable))
    else:
        rows = [shapes.sandbox_order(order, call.now) for order in reversed(orders)]
        waiting = sum(order.status is Status.TRIGGER_PENDING for order in orders)
        statistics["total_trigger_pending_orders"] = waiting
    return call.success(data={"orders": rows, "statistics": statistics})


def order_status(call: Call) -> Answer:
    """Return one order: of today in live mode, of any day in the sandbox."""
    order_id = call.text("orderid")
    order = call.simulator.book.order(call.account, order_id)
    if order is None or order.quirks.hides_at(call.now) or (call.live and not _of_today(call, order)):
        return call.error(404, f"Order {order_id} not found")
    if not call.live:
        return call.success(data=shapes.sandbox_order_status(order, call.now))
    try:
        return call.success(data=shapes.live_order_status(order, call.simulator.book.trades(order_id), call.now))
    except shapes.UnreadableBookError as unreadable:
        return call.error(500, str(unreadable))


def trade_book(call: Call) -> Answer:
    """Return the day's trades, several for an order that filled in parts."""
    shape = shapes.live_trade if call.live else shapes.sandbox_trade
    since = call.simulator.books_since(call.now)
    found = [
        (trade, order)
        for order in call.simulator.book.orders(call.account)
        if not order.quirks.hides_at(call.now)
        for trade in call.simulator.book.trades(order.order_id)
        if trade.at >= since
    ]
    found.sort(key=lambda pair: pair[0].at)
    return call.success(data=[shape(order, trade) for trade, order in found])


def position_book(call: Call) -> Answer:
    """Return the net positions, those closed today with quantity 0."""
    rows: list[Body] = []
    total_realised = total_unrealised = ZERO
    for key, position in _days_positions(call):
        instrument = call.simulator.master.find(key.exchange, key.symbol)
        ltp = call.simulator.quote(instrument).ltp if instrument is not None else position.average_price
        realised = rupees(instrument, position.realised)
        unrealised = rupees(instrument, (ltp - position.average_price) * position.quantity)
        total_realised += realised
        total_unrealised += unrealised
        if call.live:
            rows.append(shapes.live_position(key, position, ltp, realised + unrealised))
        else:
            multiplier = rupees(instrument, shapes.money(ZERO) + 1)
            rows.append(shapes.sandbox_position(key, position, ltp, realised, unrealised, multiplier))
    if call.live:
        return call.success(data=rows)
    total = shapes.money(total_realised + total_unrealised)
    return call.success(
        data=rows,
        total_pnl=total,
        total_pnl_today=total,
        total_today_realized_pnl=shapes.money(total_realised),
        total_unrealized_pnl=shapes.money(total_unrealised),
    )


def open_position(call: Call) -> Answer:
    """Return the signed net quantity of one contract and product, 0 when there is none."""
    key = PositionKey(symbol=call.text("symbol"), exchange=call.text("exchange"), product=call.text("product"))
    position = call.simulator.book.positions(call.account, call.now).get(key, Position())
    return call.success(quantity=int(position.quantity))


def funds(call: Call) -> Answer:
    """Return the account's money: text with two decimals in live mode, numbers in the sandbox."""
    money = funds_of(call.simulator, call.account, call.now)
    common = {
        "availablecash": money.available,
        "collateral": ZERO,
        "m2mrealized": money.realised,
        "m2munrealized": money.unrealised,
        "utiliseddebits": money.used,
    }
    if call.live:
        return call.success(data={name: f"{value:.2f}" for name, value in common.items()})
    rounded: Body = {name: shapes.money(value) for name, value in common.items()}
    return call.success(
        data=rounded
        | {
            "grossexposure": shapes.money(money.used),
            "totalpnl": shapes.money(money.realised + money.unrealised),
            "total_realized_pnl": shapes.money(money.realised),
            "today_realized_pnl": shapes.money(money.realised),
            "last_reset": shapes.stamp(call.simulator.books_since(call.now)),
            "reset_count": 0,
        }
    )


def _days_orders(call: Call) -> Iterator[Order]:
    for order in call.simulator.book.orders(call.account):
        if _of_today(call, order) and not order.quirks.hides_at(call.now):
            yield order


def _of_today(call: Call, order: Order) -> bool:
    return order.placed_at >= call.simulator.books_since(call.now)


def _days_positions(call: Call) -> Iterator[tuple[PositionKey, Position]]:
    since = call.simulator.books_since(call.now)
    for key, position in call.simulator.book.positions(call.account, call.now).items():
        if position.quantity or (position.touched_at is not None and position.touched_at >= since):
            yield key, position
