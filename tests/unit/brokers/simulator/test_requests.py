from decimal import Decimal

import pytest

from ratchet.brokers.simulator import schemas
from ratchet.brokers.simulator.rate_limits import RateLimits

ORDER = {
    "apikey": "k",
    "strategy": "",
    "symbol": "S",
    "exchange": "NFO",
    "action": "buy",
    "quantity": "30",
}


def test_defaults_are_those_of_the_real_server() -> None:
    values, errors = schemas.check(schemas.PLACE, ORDER)
    assert errors == {}
    assert (values["pricetype"], values["product"], values["price"]) == ("MARKET", "MIS", Decimal(0))
    assert values["quantity"] == Decimal(30)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("quantity", 0, "Quantity must be a positive number."),
        ("quantity", "", schemas.NOT_NUMBER),
        ("quantity", True, schemas.NOT_NUMBER),
        ("quantity", Decimal("NaN"), schemas.NOT_NUMBER),
        ("quantity", None, schemas.NULL),
        ("price", -1, "Must be greater than or equal to 0."),
        ("disclosed_quantity", Decimal("1.5"), schemas.NOT_INTEGER),
        ("symbol", 5, schemas.NOT_TEXT),
        ("product", "nrml", "Must be one of: MIS, NRML, CNC."),
        ("apikey", "", "Length must be between 1 and 256."),
        ("client_order_id", "x", schemas.UNKNOWN),
    ],
)
def test_each_wrong_field_is_named_with_its_text(field: str, value: object, text: str) -> None:
    _, errors = schemas.check(schemas.PLACE, ORDER | {field: value})
    assert errors == {field: [text]}


def test_a_missing_field_is_named() -> None:
    _, errors = schemas.check(schemas.PLACE, {name: value for name, value in ORDER.items() if name != "symbol"})
    assert errors == {"symbol": [schemas.MISSING]}


def test_the_window_moves_and_turned_away_calls_do_not_fill_it() -> None:
    now = [0.0]
    limits = RateLimits(lambda: now[0])
    key = ("", "127.0.0.1", "placeorder")
    assert [limits.allow(key, 2) for _ in range(4)] == [True, True, False, False]
    assert limits.allow(("", "127.0.0.1", "cancelorder"), 2)
    now[0] = 0.999
    assert not limits.allow(key, 2)
    now[0] = 1.0
    assert limits.allow(key, 2)
