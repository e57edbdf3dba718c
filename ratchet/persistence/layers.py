"""Layers and what they hold, and the state of the trade that they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Integer, String, Uuid, bindparam, case, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ratchet.domain.identity import AccountId, Fingerprint, PositionId
from ratchet.domain.positions import Holding, Layer, LayerStatus
from ratchet.persistence.tables import holdings as h
from ratchet.persistence.tables import positions as p
from ratchet.persistence.tables import pyramiding_state as trade
from ratchet.persistence.transaction import Row, Transaction, Write
from ratchet.persistence.types import Fixed, db_now

_LIVE = p.c.status != str(LayerStatus.CLOSED)
_JOINED = select(p, h.c.symbol, h.c.exchange, h.c.quantity, h.c.avg_price, h.c.lot_size, h.c.tick).select_from(
    p.outerjoin(h, h.c.position_id == p.c.id)
)
_OF_LANE = _JOINED.where(
    p.c.account == bindparam("account"), p.c.instrument == bindparam("instrument"), _LIVE
).order_by(p.c.layer, h.c.symbol)
_OF_ACCOUNT = _JOINED.where(p.c.account == bindparam("account"), _LIVE).order_by(p.c.instrument, p.c.layer, h.c.symbol)
_ONE = _JOINED.where(p.c.id == bindparam("id", type_=Uuid))
_FROM_LAYER = (
    "id account instrument trade_id lots entry_lots entry_price signal_price signal_ts initial_stop stop high atr "
    "margin realised strike"
).split()
_INSERT = insert(p).values(
    {
        column: bindparam(column, type_=p.c[column].type)
        for column in (*_FROM_LAYER, *"strategy layer status is_base_position expiry opened_by".split())
    }
    | {"entry_at": db_now()}
)
_HOLD_COLUMNS = "position_id symbol account exchange quantity avg_price lot_size tick".split()
_HOLD = {
    name: make(h)
    .values({column: bindparam(column, type_=h.c[column].type) for column in _HOLD_COLUMNS})
    .on_conflict_do_update(
        index_elements=["position_id", "symbol"],
        set_={column: bindparam(column, type_=h.c[column].type) for column in ("quantity", "avg_price")},
    )
    for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_UPDATE = (
    update(p)
    .where(p.c.id == bindparam("k_id", type_=Uuid), p.c.version == bindparam("k_version", type_=BigInteger))
    .values(
        {
            "status": bindparam("new_status", type_=String),
            "lots": bindparam("new_lots", type_=Integer),
            "entry_lots": bindparam("new_entry_lots", type_=Integer),
            "entry_price": bindparam("new_entry_price", type_=Fixed),
            "stop": bindparam("new_stop", type_=Fixed),
            "high": bindparam("new_high", type_=Fixed),
            "margin": bindparam("new_margin", type_=Fixed),
            "realised": bindparam("new_realised", type_=Fixed),
            "closed_at": case(
                (
                    bindparam("new_status", type_=String) == str(LayerStatus.CLOSED),
                    func.coalesce(p.c.closed_at, db_now()),
                ),
                else_=p.c.closed_at,
            ),
            "version": p.c.version + 1,
        }
    )
)
_TAKE = (
    update(p)
    .where(p.c.id == bindparam("k_id", type_=Uuid), p.c.status == str(LayerStatus.OPEN))
    .values(
        status=str(LayerStatus.CLOSING),
        closing_by=bindparam("new_by", type_=String),
        exit_reason=bindparam("new_reason", type_=String),
        version=p.c.version + 1,
    )
)
_LET_GO = (
    update(p)
    .where(
        p.c.account == bindparam("k_account", type_=String),
        p.c.instrument == bindparam("k_instrument", type_=String),
        p.c.closing_by == bindparam("k_by", type_=String),
        p.c.status == str(LayerStatus.CLOSING),
    )
    .values(status=str(LayerStatus.OPEN), closing_by=None, exit_reason=None, version=p.c.version + 1)
)
_TAKEN_BY = select(p.c.id).where(
    p.c.account == bindparam("account"),
    p.c.instrument == bindparam("instrument"),
    _LIVE,
    p.c.closing_by == bindparam("by", type_=String),
)
_OPENED_BY = _JOINED.where(p.c.account == bindparam("account"), p.c.opened_by == bindparam("by", type_=String))
_TRADE = select(trade).where(trade.c.account == bindparam("account"), trade.c.instrument == bindparam("instrument"))
_TRADE_VALUES: dict[str, Any] = {
    "trade_id": bindparam("new_trade", type_=Uuid),
    "base_position_id": bindparam("new_base", type_=Uuid),
    "last_layer_price": bindparam("new_price", type_=Fixed),
    "layers_opened": bindparam("new_opened", type_=Integer),
}
_SET_TRADE = {
    name: make(trade)
    .values(account=bindparam("k_account"), instrument=bindparam("k_instrument"), **_TRADE_VALUES)
    .on_conflict_do_update(index_elements=["account", "instrument"], set_=_TRADE_VALUES)
    for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeState:
    """The campaign of an instrument from base to flat. last_layer_price: the last filled layer's signal price."""

    trade_id: UUID | None = None
    base_position_id: PositionId | None = None
    last_layer_price: Decimal | None = None
    layers_opened: int = 0


def _layer_of(rows: Sequence[Row]) -> Layer:
    row = rows[0]
    return Layer(
        id=PositionId(row["id"]),
        account=AccountId(row["account"]),
        instrument=row["instrument"],
        trade_id=row["trade_id"],
        number=row["layer"],
        status=LayerStatus(row["status"]),
        lots=row["lots"],
        entry_lots=row["entry_lots"],
        entry_price=row["entry_price"],
        signal_price=row["signal_price"],
        signal_ts=row["signal_ts"],
        initial_stop=row["initial_stop"],
        stop=row["stop"],
        high=row["high"],
        atr=row["atr"],
        margin=row["margin"],
        realised=row["realised"],
        strike=row["strike"],
        version=row["version"],
        holdings=tuple(
            Holding(
                exchange=r["exchange"],
                symbol=r["symbol"],
                quantity=r["quantity"],
                avg_price=r["avg_price"],
                lot_size=r["lot_size"],
                tick=r["tick"],
            )
            for r in rows
            if r["symbol"] is not None
        ),
    )


def _layers_of(rows: Iterable[Row]) -> list[Layer]:
    grouped: dict[UUID, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row["id"], []).append(row)
    return [_layer_of(group) for group in grouped.values()]


async def live_of_lane(tx: Transaction, account: str, instrument: str) -> list[Layer]:
    """Return the layers of an instrument that are not closed, base first."""
    return _layers_of(await tx.all(_OF_LANE, account=account, instrument=instrument))


async def live_of_account(tx: Transaction, account: str) -> list[Layer]:
    """Return every layer of an account that is not closed."""
    return _layers_of(await tx.all(_OF_ACCOUNT, account=account))


async def get(tx: Transaction, position_id: PositionId) -> Layer:
    """Return one layer, closed or not."""
    return _layer_of(await tx.all(_ONE, id=position_id))


def inserting(layer: Layer, *, strategy: str, opened_by: Fingerprint | str, expiry: date | None) -> Write:
    """Return the change that writes a new layer; its holdings are written beside it."""
    values = {name: getattr(layer, name) for name in _FROM_LAYER}
    values |= {
        "strategy": strategy,
        "layer": layer.number,
        "status": str(layer.status),
        "is_base_position": layer.number == 1,
        "expiry": expiry,
        "opened_by": opened_by,
    }
    return Write(_INSERT, values)


def saving(layer: Layer) -> Write:
    """Return the change that writes a layer back, if it still has its version."""
    return Write(
        _UPDATE,
        {
            "k_id": layer.id,
            "k_version": layer.version,
            "new_status": str(layer.status),
            "new_lots": layer.lots,
            "new_entry_lots": layer.entry_lots,
            "new_entry_price": layer.entry_price,
            "new_stop": layer.stop,
            "new_high": layer.high,
            "new_margin": layer.margin,
            "new_realised": layer.realised,
        },
    )


def saving_holding(tx: Transaction, layer: Layer, holding: Holding) -> Write:
    """Return the change that writes what a layer holds of one contract."""
    return Write(
        _HOLD[tx.dialect],
        {
            "position_id": layer.id,
            "symbol": holding.symbol,
            "account": layer.account,
            "exchange": holding.exchange,
            "quantity": holding.quantity,
            "avg_price": holding.avg_price,
            "lot_size": holding.lot_size,
            "tick": holding.tick,
        },
    )


async def save(tx: Transaction, layer: Layer) -> Layer:
    """Write a layer back under its version. Raises StaleRow if it was changed meanwhile."""
    await tx.change(saving(layer))
    return replace(layer, version=layer.version + 1)


async def take_for_exit(tx: Transaction, layer: Layer, *, by: str, reason: str) -> bool:
    """open -> closing, once: whichever trigger comes first has the layer."""
    return await tx.count(_TAKE, k_id=layer.id, new_by=by, new_reason=reason[:200]) == 1


async def taken_by(tx: Transaction, account: str, instrument: str, by: str) -> set[UUID]:
    """Return the layers that an exit has taken and not yet closed."""
    return {row["id"] for row in await tx.all(_TAKEN_BY, account=account, instrument=instrument, by=by)}


async def let_go(tx: Transaction, account: str, instrument: str, by: str) -> int:
    """closing -> open: what an exit took and did not close may be taken by another one; return how many layers."""
    return await tx.count(_LET_GO, k_account=account, k_instrument=instrument, k_by=by)


async def opened_by(tx: Transaction, account: str, by: str) -> Layer | None:
    """Return the layer that a signal opened, if it has had a fill."""
    rows = await tx.all(_OPENED_BY, account=account, by=by)
    return _layer_of(rows) if rows else None


async def trade_state(tx: Transaction, account: str, instrument: str) -> TradeState:
    """Return the trade of a lane; an empty one when it is flat."""
    row = await tx.first(_TRADE, account=account, instrument=instrument)
    if row is None:
        return TradeState()
    return TradeState(
        trade_id=row["trade_id"],
        base_position_id=row["base_position_id"],
        last_layer_price=row["last_layer_price"],
        layers_opened=row["layers_opened"],
    )


def setting_trade(tx: Transaction, account: str, instrument: str, state: TradeState) -> Write:
    """Return the change that writes the trade of a lane."""
    return Write(
        _SET_TRADE[tx.dialect],
        {
            "k_account": account,
            "k_instrument": instrument,
            "new_trade": state.trade_id,
            "new_base": state.base_position_id,
            "new_price": state.last_layer_price,
            "new_opened": state.layers_opened,
        },
    )
