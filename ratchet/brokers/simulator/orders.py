"""What the broker's book holds: orders, trades, positions. Values only; nothing here decides a fill."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)


class Side(StrEnum):
    """An order's side."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """Return +1 for a purchase, -1 for a sale."""
        return 1 if self is Side.BUY else -1


class PriceType(StrEnum):
    """How an order is priced."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    SL = "SL"
    SL_M = "SL-M"


class Status(StrEnum):
    """The five words of the order book. A partly filled order is `open`, or `cancelled` once its rest is gone."""

    OPEN = "open"
    TRIGGER_PENDING = "trigger pending"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def working(self) -> bool:
        """Tell whether the order can still fill."""
        return self in (Status.OPEN, Status.TRIGGER_PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How a fault makes one order behave or appear."""

    fill_limit: Decimal | None = None
    """At most this quantity fills until `rest_at`; zero: nothing does."""
    rest_at: datetime | None = None
    """From here on the limit above no longer holds; None: it holds for good."""
    reject_at: datetime | None = None
    """The exchange rejects the order at this instant, though it was accepted."""
    reject_text: str = ""
    visible_at: datetime | None = None
    """No book shows the order or its trades before this instant."""
    word: str | None = None
    """Shown instead of the status until `word_until` (None: for good)."""
    word_until: datetime | None = None
    shown_as_limit: bool = False
    """A MARKET order appears as LIMIT with the price that the broker protected it with."""

    def limits_at(self, now: datetime) -> Decimal | None:
        """Return the quantity beyond which nothing fills at `now`, None without such a limit."""
        if self.fill_limit is None or (self.rest_at is not None and now >= self.rest_at):
            return None
        return self.fill_limit

    def hides_at(self, now: datetime) -> bool:
        """Tell whether the books do not show the order yet."""
        return self.visible_at is not None and now < self.visible_at


PLAIN = Quirks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order of one account. Quantities in units, prices in rupees per quoted unit."""

    order_id: str
    account: str
    """Suffix of the account's key, empty for the default account."""
    ghost: str
    """The request's `strategy`: for auditors and for the sandbox's shapes, never in a live-shaped book."""
    origin: str
    """`api`, or `foreign` for an order placed by hand."""
    symbol: str
    exchange: str
    side: Side
    product: str
    price_type: PriceType
    quantity: Decimal
    price: Decimal
    trigger_price: Decimal
    status: Status
    filled: Decimal = ZERO
    average_price: Decimal = ZERO
    """Weighted by quantity over all trades."""
    shown_price: Decimal = ZERO
    """Last price at placement, which some books show for MARKET orders."""
    reason: str = ""
    placed_at: datetime
    updated_at: datetime
    quirks: Quirks = PLAIN

    @property
    def pending(self) -> Decimal:
        """Return the quantity not filled yet."""
        return self.quantity - self.filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One execution of an order."""

    trade_id: str
    order_id: str
    quantity: Decimal
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionKey:
    """What positions are netted by."""

    symbol: str
    exchange: str
    product: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A net holding: signed units, entry price, and what closing parts of it has earned (price x units)."""

    quantity: Decimal = ZERO
    average_price: Decimal = ZERO
    realised: Decimal = ZERO
    touched_at: datetime | None = None

    def after(self, side: Side, quantity: Decimal, price: Decimal, at: datetime) -> "Position":
        """Return the position after a trade: additions average in, reductions realise, a reversal starts anew."""
        signed = side.sign * quantity
        total = self.quantity + signed
        if self.quantity * signed >= 0:
            average = (self.average_price * abs(self.quantity) + price * quantity) / abs(total)
            return Position(quantity=total, average_price=average, realised=self.realised, touched_at=at)
        closed = min(abs(self.quantity), quantity)
        sign = 1 if self.quantity > 0 else -1
        realised = self.realised + (price - self.average_price) * closed * sign
        turned = total * self.quantity < 0
        average = price if turned else self.average_price if total else ZERO
        return Position(quantity=total, average_price=average, realised=realised, touched_at=at)
