"""docs/domain.md, section 8.2."""

from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.checks import Quote
from ratchet.domain.instruments import LadderRules
from ratchet.domain.ladder import Rung, entry_rung, exit_rung, last_try, unquoted_limit
from ratchet.domain.orders import Side
from tests.unit.domain.builders import T0

RULES = LadderRules()


def entry(
    i: int,
    mid: str = "1000",
    side: Side = Side.BUY,
    *,
    signal: str = "1000",
    option: bool = False,
    tick: str = "0.05",
    rules: LadderRules = RULES,
) -> Rung | None:
    return entry_rung(i=i, mid=D(mid), side=side, tick=D(tick), rules=rules, signal_price=D(signal), is_option=option)


def leave(
    i: int,
    side: Side = Side.SELL,
    *,
    ltp: str = "1000",
    bid: str | None = "998",
    ask: str | None = "1002",
    option: bool = False,
    tick: str = "1",
) -> Rung:
    quote = Quote(ltp=D(ltp), bid=None if bid is None else D(bid), ask=None if ask is None else D(ask), at=T0)
    return exit_rung(i=i, quote=quote, side=side, tick=D(tick), rules=RULES, is_option=option)


def price(rung: Rung | None) -> D:
    assert rung is not None
    return rung.price


def test_a_futures_entry_adds_a_tenth_of_a_percent_per_rung_against_us() -> None:
    assert [price(entry(i)) for i in range(3)] == [1000, 1001, 1002]
    assert [price(entry(i, side=Side.SELL)) for i in range(3)] == [1000, 999, 998]


def test_a_futures_entry_has_ten_rungs_and_then_gives_up() -> None:
    assert entry(8) == Rung(price=D(1008), done=False, marketable=False)
    assert entry(9) == Rung(price=D(1009), done=True, marketable=False)
    assert entry(10) is None


def test_a_buy_is_rounded_up_and_a_sell_down() -> None:
    assert price(entry(0, "1000.01", tick="1")) == 1001
    assert price(entry(0, "1000.99", Side.SELL, tick="1")) == 1000


def test_an_entry_may_lie_exactly_two_percent_from_the_signal_before_rounding() -> None:
    assert price(entry(0, "1020", tick="7")) == 1022  # the tick may carry it further
    assert entry(0, "1020.0001") is None
    assert price(entry(0, "980", Side.SELL)) == 980
    assert entry(0, "979.9999", Side.SELL) is None


def test_a_price_better_than_the_signals_never_ends_the_ladder() -> None:
    assert price(entry(0, "900")) == 900
    assert price(entry(0, "1100", Side.SELL)) == 1100


def test_an_option_entry_goes_by_five_up_to_a_hundred_in_all() -> None:
    assert [price(entry(i, "300", option=True)) for i in (0, 1, 19)] == [300, 305, 395]
    assert entry(20, "300", option=True) == Rung(price=D(400), done=True, marketable=False)
    assert entry(21, "300", option=True) is None


def test_whichever_of_rungs_and_most_comes_first_ends_an_options_ladder() -> None:
    few = LadderRules(option_rungs=3)
    assert entry(3, "300", option=True, rules=few) is not None
    assert entry(4, "300", option=True, rules=few) is None
    narrow = LadderRules(option_most=D(12))
    assert price(entry(2, "300", option=True, rules=narrow)) == 310
    assert entry(3, "300", option=True, rules=narrow) is None


def test_an_option_is_not_measured_by_the_price_of_the_signal() -> None:
    assert price(entry(0, "612.40", option=True, signal="58240")) == D("612.40")


def test_a_sell_never_goes_below_one_tick() -> None:
    assert price(entry(4, "12", Side.SELL, option=True)) == D("0.05")
    assert leave(4, ltp="12", bid=None, option=True, tick="0.05").price == D("0.05")
    assert leave(99, ltp="0.02", bid="0.02", option=True, tick="0.05").price == D("0.05")


def test_an_exit_walks_from_the_mid_of_each_new_quote() -> None:
    assert leave(0) == Rung(price=D(1000), done=False, marketable=False)
    assert leave(3).price == 997
    assert leave(3, ltp="900", bid="899", ask="901").price == 897  # 897.3, down
    assert leave(9).done
    assert not leave(9).marketable


def test_an_exit_after_its_ladder_goes_through_the_market_and_never_ends() -> None:
    assert leave(10) == Rung(price=D(993), done=True, marketable=True)  # 998 less 0.5 % = 993.01
    assert leave(10, Side.BUY) == Rung(price=D(1008), done=True, marketable=True)  # 1002 and 0.5 % = 1007.01
    assert leave(5000).marketable


@pytest.mark.parametrize("empty", [None, "0"])
def test_an_exit_into_an_empty_side_goes_by_the_last_price(empty: str | None) -> None:
    assert leave(10, bid=empty).price == 995
    assert leave(10, Side.BUY, ask=empty).price == 1005


def test_an_option_exit_walks_twenty_steps_before_it_goes_through_the_market() -> None:
    assert leave(20, option=True) == Rung(price=D(900), done=True, marketable=False)
    assert leave(21, option=True).marketable


def test_a_buy_costs_at_least_one_tick() -> None:
    assert leave(0, Side.BUY, ltp="0", bid=None, ask=None).price == 1


@settings(max_examples=50, deadline=None)
@given(i=st.integers(0, 40), mid=st.integers(1, 10**8), side=st.sampled_from(Side), option=st.booleans())
def test_every_price_is_a_positive_multiple_of_the_tick(i: int, mid: int, side: Side, option: bool) -> None:
    shown = str(D(mid) / 10_000)
    rungs = [leave(i, side, ltp=shown, bid=None, ask=None, option=option, tick="0.05")]
    if (rung := entry(i, shown, side, signal=shown, option=option)) is not None:
        rungs.append(rung)
    for rung in rungs:
        assert rung.price > 0
        assert rung.price % D("0.05") == 0


@pytest.mark.parametrize(
    ("present", "side", "option", "tried"),
    [
        ("1000", Side.BUY, False, "1001"),
        ("1000", Side.SELL, False, "999"),
        ("1019.01", Side.BUY, False, None),  # beyond 2 percent from the signal's price
        ("400.05", Side.BUY, True, "400.50"),  # a buy is rounded up to the tick
    ],
)
def test_a_rest_is_tried_once_more_a_tenth_of_a_percent_further_but_within_the_stop(
    present: str, side: Side, option: bool, tried: str | None
) -> None:
    found = last_try(price=D(present), side=side, tick=D("0.05"), rules=RULES, signal_price=D(1000), is_option=option)
    assert found == (None if tried is None else D(tried))


@pytest.mark.parametrize(("side", "limit"), [(Side.SELL, "980"), (Side.BUY, "1021")])
def test_an_exit_without_a_quote_goes_two_percent_through_the_last_price_on_the_tick(side: Side, limit: str) -> None:
    assert unquoted_limit(last=D("1000.5"), side=side, tick=D(1), rules=RULES) == D(limit)


def test_an_unquoted_sell_stays_above_nothing() -> None:
    assert unquoted_limit(last=D("0.05"), side=Side.SELL, tick=D("0.05"), rules=RULES) == D("0.05")
