from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.brokers.simulator.contracts import BANKNIFTY, GOLDM, Kind, Master
from ratchet.brokers.simulator.matching import work
from ratchet.brokers.simulator.orders import Order, Position, PriceType, Quirks, Side, Status
from ratchet.brokers.simulator.quotes import Quote, QuoteBoard

NOW = datetime(2027, 1, 11, 5, 0, tzinfo=UTC)
MASTER = Master(date(2027, 1, 11))
QUOTE = Quote(ltp=Decimal(100), bid=Decimal("99.95"), ask=Decimal("100.05"))


def order(price_type: PriceType = PriceType.MARKET, side: Side = Side.BUY, **changes: Any) -> Order:
    stops = (PriceType.SL, PriceType.SL_M)
    fields: dict[str, Any] = {
        "order_id": "1",
        "account": "",
        "ghost": "g",
        "origin": "api",
        "symbol": "S",
        "exchange": "NFO",
        "side": side,
        "product": "NRML",
        "price_type": price_type,
        "quantity": Decimal(60),
        "price": Decimal(0),
        "trigger_price": Decimal(0),
        "status": Status.TRIGGER_PENDING if price_type in stops else Status.OPEN,
        "placed_at": NOW,
        "updated_at": NOW,
    }
    return Order(**(fields | changes))


@given(ticks=st.integers(min_value=800_000, max_value=1_500_000))
def test_strike_plus_call_minus_put_is_the_future_at_every_price(ticks: int) -> None:
    board, future_price = QuoteBoard(), ticks * BANKNIFTY.tick
    board.set_underlying(BANKNIFTY, future_price, None, None)
    future = MASTER.future(BANKNIFTY, date(2027, 1, 25))
    assert future is not None
    prices = {}
    for kind in (Kind.CALL, Kind.PUT):
        option = MASTER.find("NFO", f"BANKNIFTY25JAN2758000{kind.value}")
        assert option is not None
        quote = board.quote(option, future)
        assert quote.ask - quote.ltp == BANKNIFTY.tick
        assert 0 < quote.bid < quote.ltp
        assert quote.ltp % BANKNIFTY.tick == 0
        prices[kind] = quote.ltp
    assert Decimal(58000) + prices[Kind.CALL] - prices[Kind.PUT] == future_price


def test_a_futures_own_price_moves_the_options_of_its_expiry_only() -> None:
    board = QuoteBoard()
    january, february = (MASTER.future(BANKNIFTY, day) for day in (date(2027, 1, 25), date(2027, 2, 23)))
    assert january is not None
    assert february is not None
    near, far = (MASTER.find("NFO", f"BANKNIFTY{word}2758000CE") for word in ("25JAN", "23FEB"))
    assert near is not None
    assert far is not None
    before = board.quote(near, january), board.quote(far, february)
    board.set_symbol(january, Decimal(59000), None, None)
    assert board.quote(near, january).ltp > before[0].ltp
    assert board.quote(far, february) == before[1]


def test_an_underlyings_price_replaces_prices_set_on_its_symbols() -> None:
    board, future = QuoteBoard(), MASTER.future(GOLDM, date(2027, 2, 5))
    assert future is not None
    board.set_symbol(future, Decimal(1), None, None)
    board.set_underlying(GOLDM, Decimal(135000), None, None)
    assert board.quote(future, None) == Quote(ltp=Decimal(135000), bid=Decimal(134999), ask=Decimal(135001))


@pytest.mark.parametrize(
    ("price_type", "side", "price", "trigger", "arriving", "expected"),
    [
        (PriceType.MARKET, Side.BUY, "0", "0", True, "100.05"),
        (PriceType.MARKET, Side.SELL, "0", "0", True, "99.95"),
        (PriceType.LIMIT, Side.BUY, "101", "0", True, "100"),
        (PriceType.LIMIT, Side.SELL, "99", "0", True, "100"),
        (PriceType.LIMIT, Side.BUY, "101", "0", False, "101"),
        (PriceType.LIMIT, Side.BUY, "100", "0", True, "100"),
        (PriceType.LIMIT, Side.BUY, "99.95", "0", True, None),
        (PriceType.LIMIT, Side.SELL, "100.05", "0", True, None),
        (PriceType.SL_M, Side.BUY, "0", "100", True, "100"),
        (PriceType.SL_M, Side.BUY, "0", "100.05", True, None),
        (PriceType.SL_M, Side.SELL, "0", "99", True, None),
        (PriceType.SL, Side.BUY, "102", "99", True, "100"),
        (PriceType.SL, Side.BUY, "98", "97", True, None),
    ],
)
def test_each_order_type_fills_at_its_price_or_rests(
    price_type: PriceType, side: Side, price: str, trigger: str, arriving: bool, expected: str | None
) -> None:
    placed = order(price_type, side, price=Decimal(price), trigger_price=Decimal(trigger))
    worked, fill = work(placed, QUOTE, NOW, arriving=arriving)
    assert (None if fill is None else fill.price) == (None if expected is None else Decimal(expected))
    assert worked.filled == (0 if expected is None else 60)
    assert (worked.status is Status.COMPLETE) == (expected is not None)


def test_a_triggered_stop_whose_limit_is_not_met_becomes_open() -> None:
    stop = order(PriceType.SL, price=Decimal(98), trigger_price=Decimal(97))
    assert work(stop, QUOTE, NOW, arriving=True)[0].status is Status.OPEN


def test_a_limited_order_fills_up_to_its_limit_and_no_further() -> None:
    limited = order(quirks=Quirks(fill_limit=Decimal(30)))
    worked, fill = work(limited, QUOTE, NOW, arriving=True)
    assert fill is not None
    assert fill.quantity == worked.filled == 30
    assert worked.status is Status.OPEN
    assert work(worked, QUOTE, NOW, arriving=False) == (worked, None)


def test_the_average_price_is_weighted_over_the_parts() -> None:
    first, _ = work(order(quirks=Quirks(fill_limit=Decimal(30), rest_at=NOW)), QUOTE, NOW, arriving=True)
    assert first.filled == 60
    part, _ = work(order(quirks=Quirks(fill_limit=Decimal(20))), QUOTE, NOW, arriving=True)
    dearer = Quote(ltp=Decimal(200), bid=Decimal(199), ask=Decimal("200.05"))
    whole, _ = work(replace(part, quirks=Quirks()), dearer, NOW, arriving=False)
    assert whole.average_price == (Decimal("100.05") * 20 + Decimal("200.05") * 40) / 60


trades = st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 20), st.integers(1, 1000)), min_size=1, max_size=20)


@given(trades)
def test_a_position_is_the_sum_of_its_trades_and_its_money_adds_up(rows: list[tuple[Side, int, int]]) -> None:
    position, cash = Position(), Decimal(0)
    for side, quantity, price in rows:
        position = position.after(side, Decimal(quantity), Decimal(price), NOW)
        cash -= side.sign * quantity * price
    assert position.quantity == sum(side.sign * quantity for side, quantity, _ in rows)
    worth = position.realised - position.quantity * position.average_price
    assert abs(worth - cash) < Decimal("0.000001")
