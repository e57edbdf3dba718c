"""docs/domain.md, section 8.1, with the worked example 10."""

from datetime import timedelta
from decimal import Decimal as D

import pytest

from ratchet.domain.checks import Age, Quote, age_of, entry_price_check, price_sanity
from ratchet.domain.instruments import Limits
from ratchet.domain.refusals import Reason
from ratchet.domain.signals import SignalKind
from tests.unit.domain.builders import T0

BASE, PYRAMID = SignalKind.BASE_ENTRY, SignalKind.PYRAMID


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (-5.000001, Age.FUTURE),
        (-5, Age.FRESH),
        (0, Age.FRESH),
        (9.999999, Age.FRESH),
        (10, Age.WARNING),
        (29.999999, Age.WARNING),
        (30, Age.ELEVATED),
        (59.999999, Age.ELEVATED),
        (60, Age.STALE),
        (86400, Age.STALE),
    ],
)
def test_each_age_begins_at_its_second(seconds: float, age: Age) -> None:
    assert age_of(T0 + timedelta(seconds=seconds), T0) is age


def test_the_age_limits_can_be_set() -> None:
    assert age_of(T0 + timedelta(seconds=20), T0, limit_seconds=20) is Age.STALE
    assert age_of(T0 + timedelta(seconds=90), T0, limit_seconds=120) is Age.ELEVATED
    assert age_of(T0 - timedelta(seconds=8), T0, future_seconds=10) is Age.FRESH


def test_a_naive_stamp_is_an_error() -> None:
    with pytest.raises(TypeError):
        age_of(T0, T0.replace(tzinfo=None))


def check(
    broker: str, *, signal: str = "1000", stop: str = "900", kind: SignalKind = BASE, age: Age = Age.FRESH
) -> Reason | None:
    return entry_price_check(
        signal_price=D(signal), stop=D(stop), broker_price=D(broker), kind=kind, age=age, limits=Limits()
    )


def test_example_10_passes_both_tests() -> None:
    assert check("58310", signal="58240", stop="57880") is None


@pytest.mark.parametrize(
    ("kind", "age", "low", "high"),
    [
        (BASE, Age.FRESH, "980", "1020"),
        (BASE, Age.WARNING, "980", "1020"),
        (BASE, Age.ELEVATED, "990", "1010"),
        (PYRAMID, Age.FRESH, "990", "1010"),
        (PYRAMID, Age.ELEVATED, "995", "1005"),
    ],
)
def test_divergence_at_its_limit_passes_on_either_side(kind: SignalKind, age: Age, low: str, high: str) -> None:
    hair = D("0.0001")
    assert check(low, kind=kind, age=age) is None
    assert check(high, kind=kind, age=age) is None
    assert check(str(D(low) - hair), kind=kind, age=age) is Reason.DIVERGENCE
    assert check(str(D(high) + hair), kind=kind, age=age) is Reason.DIVERGENCE


@pytest.mark.parametrize(("kind", "highest"), [(BASE, "1015"), (PYRAMID, "1006")])
def test_a_risk_increase_at_its_limit_passes(kind: SignalKind, highest: str) -> None:
    assert check(highest, stop="970", kind=kind) is None
    assert check(str(D(highest) + D("0.01")), stop="970", kind=kind) is Reason.RISK_INCREASE


def test_at_or_below_the_stop_is_refused_before_anything_else() -> None:
    assert check("900") is Reason.BELOW_STOP  # it also diverges by 10 %
    assert check("899.95") is Reason.BELOW_STOP
    assert check("999.95", stop="999.9") is None


def quote(ltp: str, bid: str | None = None, ask: str | None = None) -> Quote:
    return Quote(ltp=D(ltp), bid=None if bid is None else D(bid), ask=None if ask is None else D(ask), at=T0)


@pytest.mark.parametrize(
    ("shown", "mid"),
    [
        (quote("100", "98", "103"), "100.5"),
        (quote("100", None, "103"), "100"),
        (quote("100", "98", None), "100"),
        (quote("100", "0", "103"), "100"),
        (quote("100", "98", "0"), "100"),
        (quote("100"), "100"),
    ],
)
def test_the_mid_needs_both_sides_of_the_book(shown: Quote, mid: str) -> None:
    assert shown.mid == D(mid)


def test_a_quote_far_from_the_last_price_seen_is_refused() -> None:
    assert price_sanity(quote("105"), D(100), Limits()) is None
    assert price_sanity(quote("95"), D(100), Limits()) is None
    assert price_sanity(quote("105.01"), D(100), Limits()) is Reason.PRICE_SANITY
    assert price_sanity(quote("94.99"), D(100), Limits()) is Reason.PRICE_SANITY
    assert price_sanity(quote("5000"), None, Limits()) is None
