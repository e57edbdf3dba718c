"""What the broker (live) and the sandbox (analyze) refuse at once, with their texts.

In live mode OpenAlgo checks the schema only, so these are the broker's own checks.
Source: docs/openalgo-api.md, section 3.
"""

from datetime import datetime, time
from decimal import Decimal

from ratchet.brokers.simulator import square_off
from ratchet.brokers.simulator.contracts import Instrument, Kind
from ratchet.brokers.simulator.money import funds_of, margin_of
from ratchet.brokers.simulator.orders import Order, PriceType, Side
from ratchet.brokers.simulator.settings import IST, Mode, SessionRule
from ratchet.brokers.simulator.simulator import Simulator

DERIVATIVES = ("NFO", "BFO", "CDS", "BCD", "MCX", "NCDEX")
_MIS_OPENS = time(9, 0)


def refusal(simulator: Simulator, order: Order) -> str | None:
    """Return why a new order is refused, None if it is taken."""
    instrument = simulator.master.find(order.exchange, order.symbol)
    if simulator.mode is Mode.ANALYZE:
        return _sandbox_refusal(simulator, order, instrument)
    return _broker_refusal(simulator, order, instrument)


def _broker_refusal(simulator: Simulator, order: Order, instrument: Instrument | None) -> str | None:
    if instrument is None or instrument.kind is Kind.INDEX:
        return "The instrument you are placing an order for has either expired or does not exist."
    listed = instrument.underlying
    if order.quantity % listed.lot:
        return f"Quantity should be in multiples of {listed.lot}."
    if listed.freeze > 1 and order.quantity > listed.freeze:
        return f"Quantity exceeds the freeze quantity of {listed.freeze}."
    if order.price_type in (PriceType.LIMIT, PriceType.SL) and order.price <= 0:
        return "A price is needed for this order type."
    if order.price % listed.tick or order.trigger_price % listed.tick:
        return f"Tick size for this script is {listed.tick}. Kindly enter price in the multiple of tick size."
    if not simulator.sessions.open_at(order.exchange, order.placed_at):
        return "Markets are closed right now. Use an after-market order for the next session."
    return None


def _sandbox_refusal(simulator: Simulator, order: Order, instrument: Instrument | None) -> str | None:
    if instrument is None:
        return f"Symbol {order.symbol} not found on {order.exchange}"
    if order.price_type in (PriceType.LIMIT, PriceType.SL) and order.price <= 0:
        return f"{order.price_type.value} orders require price"
    if order.price_type in (PriceType.SL, PriceType.SL_M) and order.trigger_price <= 0:
        return f"{order.price_type.value} orders require trigger_price"
    if order.product == "CNC" and order.exchange in DERIVATIVES:
        return f"CNC product type is not allowed for {order.exchange}. Use NRML or MIS."
    lot = instrument.underlying.lot
    if order.exchange in DERIVATIVES and order.quantity % lot:
        return f"Quantity must be in multiples of lot size {lot}"
    if order.product == square_off.PRODUCT and simulator.sessions.rule is not SessionRule.ALWAYS:
        late = _mis_refusal(order.exchange, order.placed_at)
        if late is not None:
            return late
    return _margin_refusal(simulator, order, instrument)


def _mis_refusal(exchange: str, now: datetime) -> str | None:
    closes = square_off.TIMES.get(exchange)
    if closes is None or _MIS_OPENS <= now.astimezone(IST).time() < closes:
        return None
    return f"MIS orders cannot be placed after square-off time ({closes:%H:%M} IST). Trading resumes at 09:00 AM IST."


def _margin_refusal(simulator: Simulator, order: Order, instrument: Instrument) -> str | None:
    funds = funds_of(simulator, order.account, order.placed_at)
    held = funds.net(order)
    opposite = -held if order.side is Side.BUY else held
    opening = order.quantity - min(order.quantity, max(opposite, Decimal(0)))
    if opening <= 0:
        return None
    price = order.price or order.trigger_price or simulator.quote(instrument).ltp
    needed = margin_of(instrument, opening, price)
    if needed <= funds.available:
        return None
    return (
        f"Insufficient funds. Required: ₹{needed:,.2f}, Available: ₹{funds.available:,.2f}, "
        f"Shortage: ₹{needed - funds.available:,.2f}"
    )
