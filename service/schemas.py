"""The shapes that the API answers with. Rupees, prices and averages are exact decimals, written as strings."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ratchet.domain.instruments import ExpiryRule, Form
from ratchet.domain.orders import IntentState, Purpose, Side
from ratchet.domain.positions import LayerStatus
from ratchet.domain.signals import SignalKind, SignalStatus, Source
from ratchet.execution.submission import Duplicate


class Shape(BaseModel):
    """A part of an answer; columns of a row that it does not name are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


Row = TypeVar("Row", bound=Shape)


class Page(Shape, Generic[Row]):
    """One page of a list."""

    items: list[Row]
    next: str | None = Field(description="Hand it back as `cursor` for the next page; null on the last one.")


class Problem(Shape):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = Field(
        description="The first field that failed, `$body` for the whole message; null where none is to blame."
    )
    rule: str | None = Field(description="The validation rule, V01 to V22; null where none is to blame.")
    request_id: str


class Receipt(Shape):
    """The durable answer to a signal."""

    id: UUID = Field(description="Of the row that stands for the signal: the first one's, if it is a duplicate.")
    status: SignalStatus
    duplicate: Duplicate | None = Field(
        description="exact: the same signal was accepted before; window: the same layer within 60 s; null: new."
    )
    request_id: str


class SignalRow(Shape):
    """One accepted signal."""

    id: UUID
    account: str
    strategy: str
    instrument: str
    kind: SignalKind
    layer: str | None
    source: Source
    status: SignalStatus
    reason: str | None = Field(description="Why it ended so; a stable word.")
    fingerprint: str
    signal_ts: datetime
    received_at: datetime
    processed_at: datetime | None
    terminal_at: datetime | None
    request_id: str | None


class OrderRow(Shape):
    """One order that was meant to be placed, and what became of it."""

    id: UUID
    account: str
    instrument: str
    origin: str = Field(description="The fingerprint of its signal, or the id of its rollover.")
    purpose: Purpose
    leg: str
    attempt: int
    exchange: str
    symbol: str
    product: str
    side: Side
    quantity: int = Field(description="Units: lots times the contract's lot size.")
    price: Decimal | None
    state: IntentState
    filled: int
    avg_price: Decimal | None
    reserved: Decimal = Field(description="Rupees of margin held for it.")
    broker_order_id: str | None
    broker_day: date | None
    created_at: datetime
    sent_at: datetime | None
    answered_at: datetime | None
    terminal_at: datetime | None
    how: str | None


class EventRow(Shape):
    """One thing that happened to a signal."""

    seq: int
    at: datetime
    kind: str
    data: Any
    actor: str


class FillRow(Shape):
    """One step in which an order was filled."""

    intent_id: UUID
    quantity: int
    cum_filled: int
    price: Decimal
    at: datetime


class SignalHistory(SignalRow):
    """A signal with everything that happened because of it."""

    meaning: str | None = Field(description="The reason, in a sentence.")
    payload: Any = Field(description="The message as sent, less its token.")
    detail: Any
    attempts: int
    error: str | None
    events: list[EventRow]
    orders: list[OrderRow]
    fills: list[FillRow]


class HoldingRow(Shape):
    """What a position holds of one contract. quantity: signed units, short is negative."""

    exchange: str
    symbol: str
    quantity: int
    avg_price: Decimal
    lot_size: int


class PositionRow(Shape):
    """One layer of a trade."""

    id: UUID
    account: str
    strategy: str
    instrument: str
    trade_id: UUID
    layer: int = Field(description="1 is the base, 2 the first pyramid.")
    status: LayerStatus
    is_base_position: bool
    lots: int
    entry_lots: int
    entry_price: Decimal
    initial_stop: Decimal
    stop: Decimal
    high: Decimal
    margin: Decimal
    realised: Decimal
    strike: Decimal | None
    expiry: date | None
    exit_reason: str | None
    entry_at: datetime
    closed_at: datetime | None
    rollover_status: str
    holdings: list[HoldingRow]


class PortfolioRow(Shape):
    """One account's equity and margin, in rupees."""

    account: str
    margin_limit: Decimal
    reserved: Decimal
    used: Decimal
    closed_equity: Decimal
    closed_peak: Decimal
    loss_day: date | None
    day_start_equity: Decimal | None


class IncidentRow(Shape):
    """Something that a person must look at; while it is open, its slot is closed."""

    id: UUID
    account: str
    instrument: str | None
    exchange: str | None
    symbol: str | None
    side: str | None
    kind: str
    broker_order_id: str | None
    intent_id: UUID | None
    signal_id: UUID | None
    summary: str
    data: Any
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    decision: str | None


class InstrumentRow(Shape):
    """One instrument of the portfolio file. Risks and volatilities are percent of equity."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    exchange: str
    base: str
    form: Form
    lot_size: int
    tick: Decimal
    point_value: Decimal = Field(description="Rupees for a move of 1.0 in one lot.")
    margin_per_lot: Decimal
    initial_risk: Decimal
    ongoing_risk: Decimal
    initial_vol: Decimal
    ongoing_vol: Decimal
    initial_atr: Decimal
    trailing_atr: Decimal
    max_pyramids: int
    pyramid_spacing: Decimal
    roll_days: int
    expiry_rule: ExpiryRule
    bar_minutes: int
    strike_interval: Decimal | None


class Health(Shape):
    """How this process is, for people."""

    status: Literal["ok", "read_only", "unready", "draining"]
    version: str
    instance: str = Field(description="New at each start of the process.")
    leader: bool | None = Field(description="Whether this process leads; null if it never does.")
    draining: bool
    read_only: bool = Field(description="Whether signals can hardly be made durable just now.")
    database: dict[str, Any]
    revision: dict[str, Any] = Field(alias="schema", description="The schema's revision: found, and wanted at least.")
    redis: dict[str, Any]
    broker: dict[str, Any]
    leadership: dict[str, Any] | None = Field(description="Holder and epoch by role; null while not known.")
    sending: dict[str, Any] | None = Field(description="The kill switch; null while not known.")
    open_requests: int
    uptime_seconds: float
