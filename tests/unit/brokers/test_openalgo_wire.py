"""The many spellings that plugins have for one fact, and what is refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.brokers.base import BadAnswer, SessionTimes, Trade
from ratchet.brokers.openalgo import books, market, wire
from ratchet.domain.checks import Quote
from ratchet.domain.identity import BrokerOrderId
from ratchet.domain.instruments import Contract
from ratchet.domain.orders import Side
from ratchet.domain.resolving import BookOrder
from tests.unit.brokers.builders import KEY, ORDER

LIVE_ROW: dict[str, object] = {
    "symbol": "BANKNIFTY29DEC26FUT",
    "exchange": "NFO",
    "action": "BUY",
    "quantity": 35,
    "price": Decimal("52000.05"),
    "trigger_price": Decimal("0.0"),
    "pricetype": "LIMIT",
    "product": "NRML",
    "orderid": "26112300001",
    "order_status": "open",
    "timestamp": "2026-11-23 11:02:30",
}
READ = BookOrder(
    order_id="26112300001",
    symbol="BANKNIFTY29DEC26FUT",
    exchange="NFO",
    product="NRML",
    side=Side.BUY,
    quantity=35,
    status="open",
    price=Decimal("52000.05"),
    average_price=None,
    filled=None,
)
NOW = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)


def body(raw: str) -> wire.Fields:
    found = wire.parsed(raw.encode())
    assert found is not None
    return found


def test_a_live_row_is_read() -> None:
    assert books.order(LIVE_ROW) == READ


@pytest.mark.parametrize(
    "spelling",
    [
        {"quantity": "35"},
        {"quantity": Decimal("35.0")},
        {"quantity": "35.00"},
        {"price": "52000.05"},
        {"action": "buy"},
        {"orderid": 26112300001},
        {"orderid": None, "order_id": "26112300001"},
        {"order_status": "OPEN"},
        {"order_status": None, "status": "open"},
        {"average_price": ""},
        {"filled_quantity": None},
        {"symbol": " BANKNIFTY29DEC26FUT "},
    ],
    ids=str,
)
def test_spellings_of_one_order_read_alike(spelling: Mapping[str, object]) -> None:
    assert books.order({**LIVE_ROW, **spelling}) == READ


def test_a_zero_with_a_monstrous_exponent_is_zero() -> None:
    assert books.order({**LIVE_ROW, "filled_quantity": "0e999999999"}).filled == 0


def test_a_sandbox_row_tells_what_was_filled() -> None:
    row = {
        **LIVE_ROW,
        "average_price": 52001.5,
        "filled_quantity": 35,
        "pending_quantity": 0,
        "order_status": "complete",
        "strategy": str(ORDER.intent_id),
    }
    [found] = books.orders(body(json.dumps({"data": {"orders": [row]}}, default=str)))
    assert (found.average_price, found.filled, found.status) == (Decimal("52001.5"), 35, "complete")


@pytest.mark.parametrize("name", ["filled_quantity", "filledquantity", "filledshares", "filledqty"])
def test_every_name_of_the_filled_quantity_is_known(name: str) -> None:
    assert books.order({**LIVE_ROW, name: "10"}).filled == 10


@pytest.mark.parametrize("name", ["average_price", "averageprice", "avgprice"])
def test_every_name_of_the_average_price_is_known(name: str) -> None:
    assert books.order({**LIVE_ROW, name: "52001.5"}).average_price == Decimal("52001.5")


@pytest.mark.parametrize("word", ["put order req received", "PartiallyFilled", "TRANSIT", "trigger pending"])
def test_an_unknown_status_is_kept_in_lower_case(word: str) -> None:
    assert books.order({**LIVE_ROW, "order_status": word}).status == word.lower()


@pytest.mark.parametrize("symbol", [None, "", " "])
def test_an_order_on_an_unmapped_contract_is_read_and_matches_nothing(symbol: str | None) -> None:
    row = {**LIVE_ROW, "symbol": symbol, "exchange": None, "product": ""}
    found = books.order(row)
    assert (found.symbol, found.exchange, found.product) == ("", "", "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("orderid", None),
        ("orderid", ""),
        ("orderid", True),
        ("orderid", ["1"]),
        ("action", "HOLD"),
        ("action", None),
        ("quantity", None),
        ("quantity", ""),
        ("quantity", "many"),
        ("quantity", Decimal("35.5")),
        ("quantity", True),
        ("quantity", "1e400000000"),
        ("quantity", "Infinity"),
        ("quantity", {"value": 35}),
        ("price", "NaN"),
        ("price", "52,000.05"),
        ("order_status", None),
        ("order_status", ""),
        ("symbol", ["BANKNIFTY"]),
    ],
)
def test_what_cannot_be_read_is_named(field: str, value: object) -> None:
    with pytest.raises(BadAnswer, match=f"'{field}'"):
        books.order({**LIVE_ROW, field: value})


@pytest.mark.parametrize(
    "raw",
    [
        "{}",
        '{"data": null}',
        '{"data": []}',
        '{"data": {}}',
        '{"data": {"orders": null}}',
        '{"data": {"orders": [null]}}',
        '{"data": {"orders": {}}}',
    ],
)
def test_a_book_of_another_shape_is_unreadable_not_empty(raw: str) -> None:
    with pytest.raises(BadAnswer):
        books.orders(body(raw))


def test_one_unreadable_row_makes_the_book_unreadable() -> None:
    with pytest.raises(BadAnswer):
        books.orders({"data": {"orders": [LIVE_ROW, {**LIVE_ROW, "quantity": None}]}})


def test_an_empty_book_is_read_as_such() -> None:
    assert books.orders(body('{"data": {"orders": [], "statistics": {}}}')) == []


def test_trades_of_both_modes_are_read() -> None:
    live = {
        "symbol": "GOLDM05JAN27FUT",
        "exchange": "MCX",
        "product": "NRML",
        "action": "SELL",
        "quantity": 100,
        "average_price": "71000.0",
        "orderid": "9",
    }
    sandbox = {**live, "average_price": None, "price": 71000}
    expected = Trade(
        order_id="9", exchange="MCX", symbol="GOLDM05JAN27FUT", side=Side.SELL, quantity=100, price=Decimal(71000)
    )
    assert books.trades({"data": [live, sandbox]}) == [expected, expected]


def test_positions_are_netted_signed_and_only_those_carried_overnight() -> None:
    def row(symbol: str, quantity: object, product: object = "NRML") -> dict[str, object]:
        return {"symbol": symbol, "exchange": "NFO", "product": product, "quantity": quantity}

    data = [row("A", "35"), row("A", -70), row("B", 10, "MIS"), row("C", 0), row("D", "20", "nrml"), row("", 5, None)]
    assert books.positions({"data": data}) == {("NFO", "A"): -35, ("NFO", "D"): 20}


def test_a_held_position_without_a_name_is_unreadable() -> None:
    with pytest.raises(BadAnswer, match="symbol"):
        books.positions({"data": [{"symbol": None, "exchange": "NFO", "product": "NRML", "quantity": 35}]})


def test_funds_keep_amounts_and_drop_the_rest() -> None:
    raw = '{"data": {"availablecash": "1000.50", "totalpnl": -3.25, "last_reset": "2026-11-23 03:00:00", "x": null}}'
    assert books.funds(body(raw)) == {"availablecash": Decimal("1000.50"), "totalpnl": Decimal("-3.25")}
    assert books.funds(body('{"data": {}}')) == {}


@pytest.mark.parametrize(
    ("raw", "mode"),
    [
        ('{"data": {"mode": "live", "analyze_mode": false}}', "live"),
        ('{"data": {"mode": "analyze", "analyze_mode": true}}', "analyze"),
        ('{"data": {"mode": "analyze"}}', "analyze"),
    ],
)
def test_the_servers_mode(raw: str, mode: str) -> None:
    assert books.server_mode(body(raw)) == mode


def test_an_unknown_server_mode_is_refused() -> None:
    with pytest.raises(BadAnswer, match="paper"):
        books.server_mode(body('{"data": {"mode": "paper"}}'))


def test_a_quote_is_exact_and_may_lack_a_side() -> None:
    raw = '{"data": {"ltp": 52000.10, "bid": "51999.95", "ask": null, "volume": 9}}'
    assert market.quote(body(raw), NOW) == Quote(ltp=Decimal("52000.10"), bid=Decimal("51999.95"), ask=None, at=NOW)


@pytest.mark.parametrize("ltp", ["0", "-1", "null", '"-"', "NaN", "Infinity"])
def test_a_quote_without_a_price_is_refused(ltp: str) -> None:
    with pytest.raises(BadAnswer, match="ltp"):
        market.quote(body(f'{{"data": {{"ltp": {ltp}, "bid": 1, "ask": 2}}}}'), NOW)


def contract_row(**changes: object) -> dict[str, object]:
    row = {
        "symbol": "BANKNIFTY29DEC26FUT",
        "exchange": "NFO",
        "expiry": "29-DEC-26",
        "lotsize": 35,
        "tick_size": Decimal("0.05"),
        "freeze_qty": 600,
    }
    return {"data": {**row, **changes}}


@pytest.mark.parametrize("listed", ["29-DEC-26", "29DEC26", "29-Dec-2026"])
def test_a_contract_is_read_with_any_spelling_of_its_expiry(listed: str) -> None:
    assert market.contract(contract_row(expiry=listed)) == Contract(
        symbol="BANKNIFTY29DEC26FUT",
        exchange="NFO",
        expiry=date(2026, 12, 29),
        lot_size=35,
        tick=Decimal("0.05"),
        freeze=600,
    )


@pytest.mark.parametrize("freeze", [0, 1, None, "1"])
def test_a_freeze_quantity_of_one_means_that_none_is_known(freeze: object) -> None:
    assert market.contract(contract_row(freeze_qty=freeze)).freeze == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lotsize", 0),
        ("lotsize", None),
        ("tick_size", 0),
        ("tick_size", "-0.05"),
        ("expiry", ""),
        ("expiry", "soon"),
        ("expiry", "31-FEB-26"),
        ("expiry", "29-DEZ-26"),
    ],
)
def test_an_impossible_contract_is_refused(field: str, value: object) -> None:
    with pytest.raises(BadAnswer, match=field):
        market.contract(contract_row(**{field: value}))


def test_expiries_come_soonest_first() -> None:
    assert market.expiries({"data": ["26-JAN-27", "29-DEC-26"]}) == [date(2026, 12, 29), date(2027, 1, 26)]
    assert market.expiries({"data": []}) == []
    with pytest.raises(BadAnswer):
        market.expiries({"data": [1]})


def test_sessions_are_aware_instants() -> None:
    row = {"exchange": "NFO", "start_time": 1795405500000, "end_time": "1795428600000"}
    expected = SessionTimes(
        exchange="NFO",
        opens=datetime(2026, 11, 23, 3, 45, tzinfo=UTC),
        closes=datetime(2026, 11, 23, 10, 10, tzinfo=UTC),
    )
    assert market.timings({"data": [row]}) == [expected]
    [holiday] = market.holidays(
        {"data": [{"date": "2026-11-24", "closed_exchanges": ["NSE", "NFO"], "open_exchanges": [row]}]}
    )
    assert (holiday.day, holiday.closed, holiday.open_sessions) == (date(2026, 11, 24), ("NSE", "NFO"), (expected,))


@pytest.mark.parametrize("value", ["1" * 17, "9:15", None])
def test_an_impossible_instant_is_refused(value: object) -> None:
    with pytest.raises(BadAnswer, match="start_time"):
        market.timings({"data": [{"exchange": "NFO", "start_time": value, "end_time": 0}]})


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff", b"[" * 100_000, b"9" * 10_000])
def test_only_an_object_is_an_answer(raw: bytes) -> None:
    assert wire.parsed(raw) is None


def test_decimals_stay_exact_on_the_way_in_and_out() -> None:
    assert wire.parsed(b'{"price": 52000.0500000000000001}') == {"price": Decimal("52000.0500000000000001")}
    sent = json.loads(wire.place_body(KEY, ORDER))
    assert sent["price"] == "52000.05" and sent["quantity"] == 35


def test_a_change_states_the_whole_order_again() -> None:
    assert json.loads(wire.modify_body(KEY, BrokerOrderId("77"), ORDER)) == {
        "apikey": KEY,
        "strategy": str(ORDER.intent_id),
        "orderid": "77",
        "symbol": "BANKNIFTY29DEC26FUT",
        "exchange": "NFO",
        "action": "BUY",
        "product": "NRML",
        "pricetype": "LIMIT",
        "quantity": 35,
        "price": "52000.05",
        "trigger_price": "0",
        "disclosed_quantity": 0,
    }


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(field=st.sampled_from(sorted(LIVE_ROW)), value=ANYTHING)
def test_no_value_of_any_field_breaks_a_reader(field: str, value: object) -> None:
    try:
        found = books.order({**LIVE_ROW, field: value})
    except BadAnswer:
        return
    assert found.order_id and found.status
