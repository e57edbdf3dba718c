"""The steps of a roll where an order may still appear: nothing is sent again until a person lets it be."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from ratchet.domain.identity import AccountId, IntentId, PositionId
from ratchet.domain.orders import Intent, IntentState, Purpose, Side
from ratchet.domain.positions import Holding, Layer, LayerStatus
from ratchet.domain.resolving import ABSENT, ABSENT_BY_TIME
from ratchet.domain.rollover import Close, Failed, Open, Target, close_leg, next_step, open_leg, undo_leg

NOW = datetime(2027, 1, 11, 5, 0, tzinfo=UTC)
OLD, NEW = "OLDFUT", "NEWFUT"
FUTURE = Target(legs=(("fut", NEW),), quantity=100)
SYNTHETIC = Target(legs=(("ce", "NEWCE"), ("pe", "NEWPE")), quantity=30)


def a_layer(**held: int) -> Layer:
    holdings = tuple(
        Holding(
            exchange="MCX",
            symbol=symbol,
            quantity=units,
            avg_price=Decimal(100),
            lot_size=abs(units),
            tick=Decimal("0.05"),
        )
        for symbol, units in held.items()
    )
    price = Decimal(100)
    return Layer(
        id=PositionId(uuid4()),
        account=AccountId("main"),
        instrument="GOLD_MINI",
        trade_id=uuid4(),
        number=1,
        status=LayerStatus.OPEN,
        lots=1,
        entry_lots=1,
        entry_price=price,
        signal_price=price,
        signal_ts=NOW,
        initial_stop=Decimal(90),
        stop=Decimal(90),
        high=price,
        atr=Decimal(5),
        holdings=holdings,
    )


def an_order(leg: str, state: IntentState, *, how: str = "", filled: int = 0) -> Intent:
    opens = "-open:" in leg
    return Intent(
        id=IntentId(uuid4()),
        account=AccountId("main"),
        instrument="GOLD_MINI",
        origin="roll",
        signal_ts=None,
        purpose=Purpose.ROLL_OPEN if opens else Purpose.ROLL_CLOSE,
        leg=leg,
        step=0,
        attempt=1,
        exchange="MCX",
        symbol=leg.partition(":")[2],
        product="NRML",
        side=Side.BUY if opens else Side.SELL,
        quantity=100,
        lot_size=100,
        tick=Decimal("0.05"),
        price=None,
        state=state,
        filled=filled,
        how=how,
        created_at=NOW,
    )


@pytest.mark.parametrize("leg", [close_leg(1, OLD), open_leg(1, NEW)])
def test_an_order_that_is_absent_by_time_alone_is_not_sent_again(leg: str) -> None:
    layer = a_layer(OLDFUT=100) if "close" in leg else a_layer()
    doubtful = an_order(leg, IntentState.NOT_PLACED, how=f"{ABSENT_BY_TIME}")
    step = next_step(layer, [doubtful], old=(OLD,), target=FUTURE, exiting=False, attempt=1)
    assert isinstance(step, Failed) and leg in step.why
    assert step.flat == layer.flat


def test_an_order_whose_sender_is_proven_dead_is_sent_again() -> None:
    gone = an_order(close_leg(1, OLD), IntentState.NOT_PLACED, how=ABSENT)
    step = next_step(a_layer(OLDFUT=100), [gone], old=(OLD,), target=FUTURE, exiting=False, attempt=1)
    assert step == Close(OLD, 100)


def test_the_round_after_the_one_in_doubt_goes_on() -> None:
    doubtful = an_order(open_leg(1, NEW), IntentState.NOT_PLACED, how=ABSENT_BY_TIME)
    step = next_step(a_layer(), [doubtful], old=(OLD,), target=FUTURE, exiting=False, attempt=2)
    assert step == Open("fut", 100)


def test_a_call_that_was_sold_again_is_not_bought_anew_in_the_same_round() -> None:
    found = [
        an_order(open_leg(1, "NEWCE"), IntentState.FILLED, filled=30),
        *(an_order(open_leg(1, "NEWPE"), IntentState.REFUSED, how="RMS") for _ in range(3)),
        an_order(undo_leg(1, "NEWCE"), IntentState.FILLED, filled=30),
    ]
    step = next_step(a_layer(), found, old=("OLDCE", "OLDPE"), target=SYNTHETIC, exiting=False, attempt=1)
    assert isinstance(step, Failed) and step.flat
    again = next_step(a_layer(), found, old=("OLDCE", "OLDPE"), target=SYNTHETIC, exiting=False, attempt=2)
    assert again == Open("ce", 30)
