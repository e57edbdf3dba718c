"""JSON out and in: request bodies, and readers of fields that refuse what they cannot understand by name.

OpenAlgo's plugins differ: numbers come as numbers or texts, fields under several spellings. Readers accept those and
nothing else; BadAnswer names the field. Prices travel as text, so no decimal is lost on the way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from ratchet.brokers.base import BadAnswer, Order
from ratchet.domain.identity import BrokerOrderId
from ratchet.domain.numbers import ZERO
from ratchet.domain.orders import Side

Fields = Mapping[str, object]

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = Decimal(10) ** 18
_encode = json.JSONEncoder(separators=(",", ":")).encode
_decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=Decimal)


def body_of(api_key: str, **fields: object) -> bytes:
    """Return a request's body."""
    return _encode({"apikey": api_key, **fields}).encode()


def place_body(api_key: str, order: Order) -> bytes:
    """Return the body of a limit order. The intent's id travels as `strategy`, the only free field there is."""
    return _encode({"apikey": api_key, **_order_fields(order)}).encode()


def modify_body(api_key: str, order_id: BrokerOrderId, order: Order) -> bytes:
    """Return the body of a change, which states the whole order again."""
    fields = _order_fields(order)
    return _encode(
        {"apikey": api_key, "orderid": order_id, **fields, "trigger_price": "0", "disclosed_quantity": 0}
    ).encode()


def parsed(raw: bytes) -> Fields | None:
    """Return the JSON object that `raw` is, or None if it is anything else."""
    try:
        value = _decoder.decode(raw.decode())
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def mapping(parent: Fields, field: str) -> Fields:
    """Return the object in `field`."""
    value = parent.get(field)
    if isinstance(value, dict):
        return value
    raise _unreadable(field, value)


def rows(parent: Fields, field: str) -> Iterator[Fields]:
    """Yield the objects of the list in `field`."""
    value = parent.get(field)
    if not isinstance(value, list):
        raise _unreadable(field, value)
    for row in value:
        if not isinstance(row, dict):
            raise _unreadable(field, row)
        yield row


def texts(parent: Fields, field: str) -> tuple[str, ...]:
    """Return the texts of the list in `field`."""
    value = parent.get(field)
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise _unreadable(field, value)
    return tuple(value)


def text(row: Fields, *names: str) -> str:
    """Return the first of the named fields that holds a text or a whole number, without blanks around it."""
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    raise _unreadable(names[0], row.get(names[0]))


def text_or_nothing(row: Fields, *names: str) -> str:
    """Return a text, or "" where the broker has none (a symbol that its master file lacks)."""
    values = [row.get(name) for name in names]
    if all(value is None or (isinstance(value, str) and not value.strip()) for value in values):
        return ""
    return text(row, *names)


def number(row: Fields, *names: str) -> Decimal:
    """Return the first of the named fields that is there, as a finite number."""
    value = number_or_none(row, *names)
    if value is None:
        raise _unreadable(names[0], row.get(names[0]))
    return value


def number_or_none(row: Fields, *names: str) -> Decimal | None:
    """Return a number, or None where every named field is missing, null or empty."""
    for name in names:
        value = row.get(name)
        if value is None or value == "":
            continue
        found = to_decimal(value)
        if found is None:
            raise _unreadable(name, value)
        return found
    return None


def whole(row: Fields, *names: str) -> int:
    """Return a whole number; `35`, `"35"` and `35.0` are all 35."""
    value = whole_or_none(row, *names)
    if value is None:
        raise _unreadable(names[0], row.get(names[0]))
    return value


def whole_or_none(row: Fields, *names: str) -> int | None:
    """Return a whole number, or None where every named field is missing, null or empty."""
    value = number_or_none(row, *names)
    if value is None:
        return None
    if value != value.to_integral_value():
        raise _unreadable(names[0], value)
    return int(value)


def to_decimal(value: object) -> Decimal | None:
    """Return a number or a numeric text as a finite Decimal of sane size, anything else as None."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        found = Decimal(value)
    except InvalidOperation:
        return None
    if not found.is_finite() or not -_LARGEST < found < _LARGEST:
        return None
    return found if found else ZERO  # a zero may carry an exponent that no int can be made of


def side(row: Fields, *names: str) -> Side:
    """Return the side of an order or a trade."""
    word = text(row, *names)
    try:
        return Side(word.upper())
    except ValueError:
        raise _unreadable(names[0], word) from None


def day(row: Fields, field: str) -> date:
    """Return a date written 2026-12-29."""
    try:
        return date.fromisoformat(text(row, field))
    except ValueError:
        raise _unreadable(field, row.get(field)) from None


def expiry(value: str, field: str = "expiry") -> date:
    """Return an expiry written 29-DEC-26, 29DEC26 or 29-DEC-2026."""
    plain = value.replace("-", "").upper()
    try:
        month = _MONTHS.index(plain[2:5]) + 1
        year = int(plain[5:])
        return date(year if year >= 2000 else 2000 + year, month, int(plain[:2]))
    except ValueError:
        raise _unreadable(field, value) from None


def instant(row: Fields, field: str) -> datetime:
    """Return an instant given in milliseconds since 1970, aware, in UTC."""
    try:
        return _EPOCH + timedelta(milliseconds=whole(row, field))
    except OverflowError:
        raise _unreadable(field, row.get(field)) from None


def _order_fields(order: Order) -> dict[str, object]:
    return {
        "strategy": str(order.intent_id),
        "symbol": order.symbol,
        "exchange": order.exchange,
        "action": order.side.value,
        "quantity": order.quantity,
        "pricetype": "LIMIT",
        "product": order.product,
        "price": format(order.price, "f"),
    }


def _unreadable(field: str, value: object) -> BadAnswer:
    return BadAnswer(f"field {field!r}: cannot read {str(value)[:60]!r}")
