"""What an account's positions are worth and what they block, in rupees.

Margin follows the sandbox: value / 10 for futures, the whole premium for options, of open positions and working orders'
unfilled parts. Source: docs/openalgo-api.md, section 8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ratchet.brokers.simulator.contracts import Instrument, Kind
from ratchet.brokers.simulator.orders import ZERO, Order, Position, PositionKey
from ratchet.brokers.simulator.simulator import Simulator

FUTURES_LEVERAGE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """An account's money at one instant."""

    opening: Decimal
    used: Decimal
    realised: Decimal
    unrealised: Decimal
    positions: Mapping[PositionKey, Position]

    @property
    def available(self) -> Decimal:
        """Return the rupees that a new order can still block."""
        return self.opening + self.realised + self.unrealised - self.used

    def net(self, order: Order) -> Decimal:
        """Return the signed units held of an order's contract and product."""
        key = PositionKey(symbol=order.symbol, exchange=order.exchange, product=order.product)
        return self.positions.get(key, Position()).quantity


def margin_of(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal:
    """Return what `quantity` units at `price` block."""
    value = quantity * price * instrument.underlying.per_unit
    return value / FUTURES_LEVERAGE if instrument.kind is Kind.FUTURE else value


def rupees(instrument: Instrument | None, price_times_units: Decimal) -> Decimal:
    """Return the rupees of a price difference times units; contracts no longer listed count 1:1."""
    return price_times_units * (instrument.underlying.per_unit if instrument is not None else 1)


def funds_of(simulator: Simulator, account: str, now: datetime) -> Funds:
    """Return an account's money at its instruments' present quotes."""
    positions = simulator.book.positions(account, now)
    used = realised = unrealised = ZERO
    for key, position in positions.items():
        instrument = simulator.master.find(key.exchange, key.symbol)
        realised += rupees(instrument, position.realised)
        if instrument is None or position.quantity == 0:
            continue
        used += margin_of(instrument, abs(position.quantity), position.average_price)
        ltp = simulator.quote(instrument).ltp
        unrealised += rupees(instrument, (ltp - position.average_price) * position.quantity)
    for order in simulator.book.working(account):
        instrument = simulator.master.find(order.exchange, order.symbol)
        if instrument is not None:
            used += margin_of(instrument, order.pending, order.price or order.trigger_price or order.shown_price)
    return Funds(
        opening=simulator.settings.opening_cash,
        used=used,
        realised=realised,
        unrealised=unrealised,
        positions=positions,
    )
