"""Reading signals: the list, and one signal with its whole history. (Handing one in is `service/door.py`.)"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime

from ratchet.domain.refusals import BY_CODE
from ratchet.domain.signals import SignalKind, SignalStatus, Source
from ratchet.persistence.lists import SIGNALS, History, history
from service.problems import Problem, Refused
from service.reading import Asked, Name, authorized, one_page, reading
from service.schemas import EventRow, FillRow, OrderRow, Page, SignalHistory, SignalRow

router = APIRouter(tags=["signals"], dependencies=[Depends(authorized)])

Since = Annotated[AwareDatetime | None, Query(description="Received at or after this instant.")]
Until = Annotated[AwareDatetime | None, Query(description="Received before this instant.")]


@router.get("/signals", summary="List signals, newest first")
async def list_signals(
    request: Request,
    asked: Asked,
    account: Name = None,
    strategy: Name = None,
    instrument: Name = None,
    kind: SignalKind | None = None,
    layer: Name = None,
    status: SignalStatus | None = None,
    reason: Name = None,
    source: Source | None = None,
    since: Since = None,
    until: Until = None,
) -> Page[SignalRow]:
    """Return one page of accepted signals."""
    filters = {
        "account": account,
        "strategy": strategy,
        "instrument": instrument,
        "kind": kind,
        "layer": layer,
        "status": status,
        "reason": reason,
        "source": source,
        "since": since,
        "until": until,
    }
    async with reading(request, stale=True) as tx:
        found, following = await one_page(tx, SIGNALS, asked, filters)
    return Page[SignalRow](items=[SignalRow.model_validate(row) for row in found.rows], next=following)


@router.get("/signals/{signal_id}", summary="Show one signal and everything that happened because of it")
async def show_signal(request: Request, signal_id: UUID) -> SignalHistory:
    """Return the outcome of a signal, with its events, orders and fills in order."""
    async with reading(request) as tx:
        found = await history(tx, signal_id)
    if found is None:
        raise Refused(Problem.NOT_FOUND, "There is no signal with this id.", field="signal_id")
    return _shape(found)


def _shape(found: History) -> SignalHistory:
    reason = found.signal["reason"]
    return SignalHistory.model_validate(
        {
            **found.signal,
            "meaning": BY_CODE[reason].meaning if reason in BY_CODE else None,
            "events": [EventRow.model_validate(row) for row in found.events],
            "orders": [OrderRow.model_validate(row) for row in found.intents],
            "fills": [FillRow.model_validate(row) for row in found.fills],
        }
    )
