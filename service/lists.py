"""Reading what the signals led to: positions, orders, portfolios, incidents; and the instruments they may name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from ratchet.domain.instruments import Form
from ratchet.domain.orders import IntentState, Purpose, Side
from ratchet.domain.positions import LayerStatus
from ratchet.persistence.lists import INCIDENTS, ORDERS, PORTFOLIOS, POSITIONS, holdings_of
from service import cursors
from service.reading import Asked, Name, authorized, one_page, reading
from service.schemas import (
    IncidentRow,
    InstrumentRow,
    OrderRow,
    Page,
    PortfolioRow,
    PositionRow,
)

router = APIRouter(tags=["state"], dependencies=[Depends(authorized)])

Layer = Annotated[int | None, Query(ge=1, le=6, description="1 is the base.")]
Live = Annotated[bool | None, Query(description="true: not closed yet; false: closed.")]
Open = Annotated[bool | None, Query(alias="open", description="true: still waiting for a person; false: closed.")]


def _flag(name: str, wanted: bool | None) -> dict[str, bool]:
    return {} if wanted is None else {name if wanted else f"not_{name}": True}


@router.get("/positions", summary="List positions, newest first")
async def list_positions(
    request: Request,
    asked: Asked,
    account: Name = None,
    strategy: Name = None,
    instrument: Name = None,
    status: LayerStatus | None = None,
    layer: Layer = None,
    live: Live = None,
) -> Page[PositionRow]:
    """Return one page of layers with what they hold."""
    filters = {
        "account": account,
        "strategy": strategy,
        "instrument": instrument,
        "status": status,
        "layer": layer,
        **_flag("live", live),
    }
    async with reading(request, stale=True) as tx:
        found, following = await one_page(tx, POSITIONS, asked, filters)
        held = await holdings_of(tx, [row["id"] for row in found.rows])
    items = [PositionRow.model_validate({**row, "holdings": held.get(row["id"], [])}) for row in found.rows]
    return Page[PositionRow](items=items, next=following)


@router.get("/orders", summary="List orders, newest first")
async def list_orders(
    request: Request,
    asked: Asked,
    account: Name = None,
    instrument: Name = None,
    symbol: Name = None,
    side: Side | None = None,
    state: IntentState | None = None,
    purpose: Purpose | None = None,
    origin: Name = None,
    broker_order_id: Name = None,
) -> Page[OrderRow]:
    """Return one page of orders that were meant to be placed; `origin` is the fingerprint of their signal."""
    filters = {
        "account": account,
        "instrument": instrument,
        "symbol": symbol,
        "side": side,
        "state": state,
        "purpose": purpose,
        "origin": origin,
        "broker_order_id": broker_order_id,
    }
    async with reading(request, stale=True) as tx:
        found, following = await one_page(tx, ORDERS, asked, filters)
    return Page[OrderRow](items=[OrderRow.model_validate(row) for row in found.rows], next=following)


@router.get("/portfolio", summary="List accounts with their equity and margin")
async def list_portfolios(request: Request, asked: Asked, account: Name = None) -> Page[PortfolioRow]:
    """Return one page of accounts."""
    async with reading(request, stale=True) as tx:
        found, following = await one_page(tx, PORTFOLIOS, asked, {"account": account})
    return Page[PortfolioRow](items=[PortfolioRow.model_validate(row) for row in found.rows], next=following)


@router.get("/incidents", summary="List incidents, newest first")
async def list_incidents(
    request: Request,
    asked: Asked,
    account: Name = None,
    instrument: Name = None,
    symbol: Name = None,
    kind: Name = None,
    still_open: Open = None,
) -> Page[IncidentRow]:
    """Return one page of incidents."""
    filters = {
        "account": account,
        "instrument": instrument,
        "symbol": symbol,
        "kind": kind,
        **_flag("open", still_open),
    }
    async with reading(request, stale=True) as tx:
        found, following = await one_page(tx, INCIDENTS, asked, filters)
    return Page[IncidentRow](items=[IncidentRow.model_validate(row) for row in found.rows], next=following)


@router.get("/instruments", summary="List the instruments of the portfolio file")
async def list_instruments(
    request: Request, asked: Asked, exchange: Name = None, form: Form | None = None
) -> Page[InstrumentRow]:
    """Return one page of instruments; it needs no database."""
    after = "" if asked.cursor is None else cursors.decode(asked.cursor, [str])[0]
    known = sorted(request.app.state.rt.portfolio.instruments.values(), key=lambda instrument: instrument.name)
    found = [
        instrument
        for instrument in known
        if instrument.name > after and exchange in (None, instrument.exchange) and form in (None, instrument.form)
    ]
    shown = found[: asked.limit]
    following = cursors.encode([shown[-1].name]) if len(found) > len(shown) else None
    return Page[InstrumentRow](items=[InstrumentRow.model_validate(item) for item in shown], next=following)
