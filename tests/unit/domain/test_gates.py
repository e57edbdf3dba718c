"""docs/domain.md, section 6.3, with the worked example 4."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from ratchet.domain.gates import PortfolioLoad, margin_warns, portfolio_gate, pyramid_gates
from ratchet.domain.instruments import Instrument, Limits
from ratchet.domain.positions import Layer, LayerStatus
from ratchet.domain.refusals import Reason
from tests.unit.domain.builders import COPPER, SILVER, a_layer

EMPTY = PortfolioLoad(equity=D(1000000), risk=D(0), vol=D(0), margin=D(0))
CENT = D("0.0001")


def silver_base(**changes: object) -> Layer:
    return replace(a_layer(SILVER, entry=D(241300), stop=D(237900), lots=7), **changes)  # type: ignore[arg-type]


def gates(
    price: D,
    *,
    layers: tuple[Layer, ...] | None = None,
    number: int = 2,
    opened: int = 1,
    atr: D = D(1700),
    last: D = D(241300),
    instrument: Instrument = SILVER,
) -> tuple[Reason, ...]:
    return pyramid_gates(
        number=number,
        layers=(silver_base(),) if layers is None else layers,
        layers_opened=opened,
        price=price,
        atr=atr,
        last_layer_price=last,
        instrument=instrument,
    )


def test_example_4_a_move_above_one_r_and_the_spacing_passes() -> None:
    assert gates(D(246900)) == ()


def test_example_4_a_move_of_exactly_one_r_fails() -> None:
    assert gates(D(244700)) == (Reason.ONE_R,)
    assert gates(D(244700) + CENT) == ()


def test_spacing_of_exactly_the_limit_passes() -> None:
    assert gates(D(246900), last=D(246900) - D("1.5") * 1700) == ()
    assert gates(D(246900), last=D(246900) - D("1.5") * 1700 + CENT) == (Reason.SPACING,)


def test_without_an_atr_the_spacing_fails() -> None:
    assert gates(D(246900), atr=D(0)) == (Reason.SPACING,)


def test_a_base_without_initial_risk_fails_one_r() -> None:
    assert gates(D(246900), layers=(silver_base(initial_stop=D(241300)),)) == (Reason.ONE_R,)


@pytest.mark.parametrize(
    "layers",
    [
        (),
        (silver_base(status=LayerStatus.CLOSING),),
        (silver_base(status=LayerStatus.OPENING),),
        (silver_base(number=2),),
    ],
)
def test_without_an_open_base_that_is_the_only_reason(layers: tuple[Layer, ...]) -> None:
    assert gates(D(1), layers=layers, number=6, atr=D(0)) == (Reason.NO_BASE_POSITION,)


@pytest.mark.parametrize(("number", "opened"), [(3, 1), (2, 2), (2, 0)])
def test_a_layer_must_be_the_next_of_its_trade(number: int, opened: int) -> None:
    assert gates(D(246900), number=number, opened=opened) == (Reason.LAYER_OUT_OF_ORDER,)


def test_closed_layers_count_as_opened() -> None:
    assert gates(D(246900), number=4, opened=3) == ()


def test_the_last_allowed_pyramid_passes_and_the_next_does_not() -> None:
    base = a_layer(COPPER, entry=D(905), stop=D("893.5"), lots=6)

    def copper(number: int) -> tuple[Reason, ...]:
        return gates(D(920), layers=(base,), number=number, opened=number - 1, atr=D(3), last=D(905), instrument=COPPER)

    assert copper(4) == ()
    assert copper(5) == (Reason.MAX_PYRAMIDS,)


def test_a_trade_at_break_even_fails_the_profit_gate() -> None:
    # the base earns 5,600 x 7 points; a later layer lost as much, or a hair less
    def with_loser(entry: D) -> tuple[Layer, ...]:
        return (silver_base(), a_layer(SILVER, entry=entry, stop=D(240000), lots=7, number=2))

    assert gates(D(246900), layers=with_loser(D(252500)), number=3, opened=2) == (Reason.PROFIT,)
    assert gates(D(246900), layers=with_loser(D(252500) - CENT), number=3, opened=2) == ()


def test_all_reasons_are_collected_in_their_order() -> None:
    assert gates(D(241300), number=5, opened=1, instrument=replace(SILVER, max_pyramids=3)) == (
        Reason.LAYER_OUT_OF_ORDER,
        Reason.MAX_PYRAMIDS,
        Reason.ONE_R,
        Reason.SPACING,
        Reason.PROFIT,
    )


@pytest.mark.parametrize(
    ("pyramid", "risk", "vol"), [(False, D(150000), D(50000)), (True, D(120000), D(40000))], ids=["base", "pyramid"]
)
def test_exactly_at_the_portfolios_limits_passes_and_above_does_not(pyramid: bool, risk: D, vol: D) -> None:
    margin = D(600000)
    assert portfolio_gate(EMPTY, risk, vol, margin, Limits(), pyramid) == ()
    assert portfolio_gate(EMPTY, risk + CENT, vol, margin, Limits(), pyramid) == (Reason.PORTFOLIO_RISK,)
    assert portfolio_gate(EMPTY, risk, vol + CENT, margin, Limits(), pyramid) == (Reason.PORTFOLIO_VOL,)
    assert portfolio_gate(EMPTY, risk, vol, margin + CENT, Limits(), pyramid) == (Reason.MARGIN,)


def test_what_is_carried_already_counts() -> None:
    load = PortfolioLoad(equity=D(1000000), risk=D(100000), vol=D(30000), margin=D(500000))
    assert portfolio_gate(load, D(20000), D(10000), D(100000), Limits(), True) == ()
    assert portfolio_gate(load, D(20001), D(10001), D(100001), Limits(), True) == (
        Reason.PORTFOLIO_RISK,
        Reason.PORTFOLIO_VOL,
        Reason.MARGIN,
    )


@pytest.mark.parametrize("equity", [D(0), D(-1)])
def test_without_equity_nothing_passes(equity: D) -> None:
    load = replace(EMPTY, equity=equity)
    assert len(portfolio_gate(load, D(0), D(0), D(0), Limits(), False)) == 3


def test_the_margin_in_use_warns_above_its_level_and_not_at_it() -> None:
    load = replace(EMPTY, margin=D(400000))
    assert not margin_warns(load, D(100000), Limits())
    assert margin_warns(load, D(100000) + CENT, Limits())
