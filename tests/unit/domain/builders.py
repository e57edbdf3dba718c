"""The instruments of docs/domain.md, section 4, and short ways to make layers, intents and book rows."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal as D
from uuid import UUID

from ratchet.domain.identity import AccountId, IntentId, PositionId
from ratchet.domain.instruments import ExpiryRule, Form, Instrument
from ratchet.domain.orders import Intent, IntentState, Purpose, Side
from ratchet.domain.positions import Layer, LayerStatus
from ratchet.domain.resolving import BookOrder

T0 = datetime(2027, 1, 11, 7, 30, tzinfo=UTC)

BANK_NIFTY = Instrument(
    name="BANK_NIFTY",
    exchange="NFO",
    base="BANKNIFTY",
    form=Form.SYNTHETIC,
    lot_size=30,
    tick=D("0.05"),
    point_value=D(30),
    margin_per_lot=D(270000),
    initial_risk=D(1),
    ongoing_risk=D(1),
    initial_vol=D("0.5"),
    ongoing_vol=D("0.7"),
    initial_atr=D("1.5"),
    trailing_atr=D("2.5"),
    max_pyramids=5,
    pyramid_spacing=D("0.5"),
    roll_days=7,
    tender_days=0,
    expiry_rule=ExpiryRule.BANK_NIFTY_MONTHLY,
    bar_minutes=75,
)
GOLD = replace(
    BANK_NIFTY,
    name="GOLD_MINI",
    exchange="MCX",
    base="GOLDM",
    form=Form.FUTURE,
    lot_size=100,
    tick=D(1),
    point_value=D(10),
    margin_per_lot=D(105000),
    initial_vol=D("0.2"),
    ongoing_vol=D("0.3"),
    initial_atr=D(1),
    trailing_atr=D(2),
    max_pyramids=3,
)
SILVER = replace(
    GOLD,
    name="SILVER_MINI",
    base="SILVERM",
    lot_size=5,
    point_value=D(5),
    margin_per_lot=D(385000),
    initial_atr=D(2),
    trailing_atr=D(3),
    max_pyramids=5,
    pyramid_spacing=D("1.5"),
)
COPPER = replace(
    GOLD,
    name="COPPER",
    base="COPPER",
    lot_size=2500,
    tick=D("0.05"),
    point_value=D(2500),
    margin_per_lot=D(300000),
    initial_atr=D(3),
    trailing_atr=D(5),
    pyramid_spacing=D("0.75"),
)
INSTRUMENTS = {i.name: i for i in (BANK_NIFTY, GOLD, SILVER, COPPER)}


def a_layer(
    instrument: Instrument,
    *,
    entry: D,
    stop: D,
    lots: int,
    number: int = 1,
    atr: D = D(100),
    status: LayerStatus = LayerStatus.OPEN,
) -> Layer:
    """Make a layer as it is just after its entry."""
    return Layer(
        id=PositionId(UUID(int=number)),
        account=AccountId("main"),
        instrument=instrument.name,
        trade_id=UUID(int=100),
        number=number,
        status=status,
        lots=lots,
        entry_lots=lots,
        entry_price=entry,
        signal_price=entry,
        signal_ts=T0,
        initial_stop=stop,
        stop=stop,
        high=entry,
        atr=atr,
    )


def an_intent(state: IntentState = IntentState.UNKNOWN, *, baseline: tuple[str, ...] = ()) -> Intent:
    """Make an intent to buy 100 units of gold, sent at T0 (unless it is still pending)."""
    return Intent(
        id=IntentId(UUID(int=7)),
        account=AccountId("main"),
        instrument="GOLD_MINI",
        origin="f" * 64,
        signal_ts=T0,
        purpose=Purpose.ENTRY,
        leg="fut",
        step=0,
        attempt=1,
        exchange="MCX",
        symbol="GOLDM05FEB27FUT",
        product="NRML",
        side=Side.BUY,
        quantity=100,
        lot_size=100,
        tick=D(1),
        price=D(134600),
        state=state,
        baseline=baseline,
        created_at=T0,
        sent_at=None if state is IntentState.PENDING else T0,
    )


A_ROW = BookOrder(
    order_id="A1",
    symbol="GOLDM05FEB27FUT",
    exchange="MCX",
    product="NRML",
    side=Side.BUY,
    quantity=100,
    status="open",
    price=D(134600),
    average_price=None,
    filled=None,
)
"""A row of the book that matches `an_intent`."""
