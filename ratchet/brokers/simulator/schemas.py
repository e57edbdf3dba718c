"""The request schemas, and their error texts as OpenAlgo words them.

Unknown fields are refused, as the real server does. Source: docs/openalgo-api.md, sections 1 to 4 and 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum

EXCHANGES = (
    "NSE", "NFO", "CDS", "BSE", "BFO", "BCD", "MCX", "NCDEX", "NCO",
    "NSE_INDEX", "BSE_INDEX", "MCX_INDEX", "GLOBAL_INDEX", "CRYPTO",
)  # fmt: skip
OPTION_EXCHANGES = ("NSE_INDEX", "BSE_INDEX", "NSE", "BSE", "NFO", "BFO", "MCX")
EXPIRY_EXCHANGES = ("NFO", "BFO", "MCX", "CDS", "NCO", "BCD", "NCDEX", "CRYPTO")
ACTIONS = ("BUY", "SELL", "buy", "sell")
PRICE_TYPES = ("MARKET", "LIMIT", "SL", "SL-M")
PRODUCTS = ("MIS", "NRML", "CNC")
OFFSETS = ("ATM", *(f"{side}{count}" for side in ("ITM", "OTM") for count in range(1, 51)))

MISSING = "Missing data for required field."
UNKNOWN = "Unknown field."
NULL = "Field may not be null."
NOT_TEXT = "Not a valid string."
NOT_NUMBER = "Not a valid number."
NOT_INTEGER = "Not a valid integer."


LARGEST = Decimal(10) ** 15
"""No quantity or price of a market is beyond it; arithmetic stays exact below it."""


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a request."""

    kind: Kind = Kind.TEXT
    required: bool = True
    default: object = None
    choices: tuple[str, ...] = ()
    length: tuple[int, int] | None = None
    minimum: Decimal | None = None
    positive: str = ""
    """The text to refuse zero and less with; empty: they are allowed."""
    nullable: bool = False


Schema = Mapping[str, Field]
Values = dict[str, object]

_KEY = Field(length=(1, 256))
_TEXT = Field()
_PRICE = Field(kind=Kind.NUMBER, required=False, default=Decimal(0), minimum=Decimal(0))
_NEEDED_PRICE = Field(kind=Kind.NUMBER, minimum=Decimal(0))
_QUANTITY = Field(kind=Kind.NUMBER, positive="Quantity must be a positive number.")

KEY_ONLY: Schema = {"apikey": _KEY}
PLACE: Schema = {
    "apikey": _KEY,
    "strategy": _TEXT,
    "symbol": _TEXT,
    "exchange": Field(choices=EXCHANGES),
    "action": Field(choices=ACTIONS),
    "quantity": _QUANTITY,
    "pricetype": Field(required=False, default="MARKET", choices=PRICE_TYPES),
    "product": Field(required=False, default="MIS", choices=PRODUCTS),
    "price": _PRICE,
    "trigger_price": _PRICE,
    "disclosed_quantity": Field(kind=Kind.INTEGER, required=False, default=Decimal(0), minimum=Decimal(0)),
    "underlying_ltp": Field(kind=Kind.NUMBER, required=False, nullable=True),
}
MODIFY: Schema = {
    "apikey": _KEY,
    "strategy": _TEXT,
    "orderid": _TEXT,
    "symbol": _TEXT,
    "exchange": Field(choices=EXCHANGES),
    "action": Field(choices=ACTIONS),
    "product": Field(choices=PRODUCTS),
    "pricetype": Field(choices=PRICE_TYPES),
    "quantity": _QUANTITY,
    "price": _NEEDED_PRICE,
    "trigger_price": _NEEDED_PRICE,
    "disclosed_quantity": Field(kind=Kind.INTEGER, minimum=Decimal(0)),
}
ONE_ORDER: Schema = {"apikey": _KEY, "strategy": _TEXT, "orderid": _TEXT}
OPEN_POSITION: Schema = {
    "apikey": _KEY,
    "strategy": _TEXT,
    "symbol": _TEXT,
    "exchange": Field(choices=EXCHANGES),
    "product": Field(choices=PRODUCTS),
}
INSTRUMENT: Schema = {"apikey": _KEY, "symbol": _TEXT, "exchange": Field(choices=EXCHANGES)}
EXPIRY: Schema = {
    "apikey": _KEY,
    "symbol": _TEXT,
    "exchange": Field(choices=EXPIRY_EXCHANGES),
    "instrumenttype": Field(choices=("futures", "options")),
}
OPTION_SYMBOL: Schema = {
    "apikey": _KEY,
    "strategy": Field(required=False),
    "underlying": _TEXT,
    "exchange": Field(choices=OPTION_EXCHANGES),
    "expiry_date": Field(required=False),
    "offset": Field(choices=OFFSETS),
    "option_type": Field(choices=("CE", "PE")),
    "strike_int": Field(kind=Kind.INTEGER, required=False, nullable=True, positive="Must be greater than 0."),
}
HOLIDAYS: Schema = {
    "apikey": _KEY,
    "year": Field(kind=Kind.INTEGER, required=False, nullable=True, minimum=Decimal(2020)),
}
TIMINGS: Schema = {"apikey": _KEY, "date": _TEXT}


def check(schema: Schema, body: Mapping[str, object]) -> tuple[Values, dict[str, list[str]]]:
    """Return the checked values with defaults filled in, and the errors by field; values count only without errors.

    Numbers arrive as Decimal or int, or as numeric text; they leave as Decimal.
    """
    values: Values = {}
    errors: dict[str, list[str]] = {}
    for name, field in schema.items():
        if name not in body:
            if field.required:
                errors[name] = [MISSING]
            values[name] = field.default
            continue
        value, text = _read(field, body[name])
        if text:
            errors[name] = [text]
        values[name] = value
    errors.update({name: [UNKNOWN] for name in body if name not in schema})
    return values, errors


def _read(field: Field, given: object) -> tuple[object, str]:
    if given is None:
        return None, "" if field.nullable else NULL
    match field.kind:
        case Kind.TEXT:
            return given, _text_error(field, given)
        case Kind.NUMBER | Kind.INTEGER:
            return _number(field, given)


def _text_error(field: Field, given: object) -> str:
    if not isinstance(given, str) or not _storable(given):
        return NOT_TEXT
    if field.choices and given not in field.choices:
        return f"Must be one of: {', '.join(field.choices)}."
    if field.length and not field.length[0] <= len(given) <= field.length[1]:
        return f"Length must be between {field.length[0]} and {field.length[1]}."
    return ""


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True


def _number(field: Field, given: object) -> tuple[object, str]:
    refused = NOT_INTEGER if field.kind is Kind.INTEGER else NOT_NUMBER
    if isinstance(given, bool) or not isinstance(given, int | Decimal | str):
        return None, refused
    try:
        value = Decimal(given)
    except InvalidOperation:
        return None, refused
    if (
        not value.is_finite()
        or abs(value) > LARGEST
        or (field.kind is Kind.INTEGER and value != value.to_integral_value())
    ):
        return None, refused
    if field.positive and value <= 0:
        return None, field.positive
    if field.minimum is not None and value < field.minimum:
        return None, f"Must be greater than or equal to {field.minimum}."
    return value, ""
