"""The invariants that hold our rows against the broker's book. Source: docs/protocol.md, section 11."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ratchet.brokers.audit_book import AuditBook, AuditOrder
from ratchet.brokers.base import Trade
from ratchet.domain.calendar import IST
from ratchet.domain.orders import NEVER_SENT, Intent, IntentState
from ratchet.domain.reconciliation import orphans
from ratchet.persistence import audits, intents
from ratchet.persistence.audits import Contract
from ratchet.persistence.transaction import Row, Transaction
from ratchet.runtime import Runtime

CALLS_PER_SECOND = 10
"""Order calls that the broker allows one account in one calendar second."""

_NO_ORDER = frozenset({IntentState.PENDING, IntentState.NOT_PLACED, IntentState.REFUSED}) | NEVER_SENT
"""States that say: the broker has no order of this intent."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ours:
    """Our side, of one snapshot."""

    states: list[Row]
    ended: list[Row]
    named: set[tuple[str, str]]
    flying: list[Intent]
    filled: dict[Contract, int]
    held: dict[Contract, int]
    layers: list[Row]
    unsettled: set[Contract]
    disputed: set[Contract]
    overfilled: set[Contract]


async def read_book(rt: Runtime) -> AuditBook:
    """Read every account's book as any broker shows it: today's orders, without who made which. Raises BrokerError."""
    read_at = rt.clock.now()
    today = read_at.astimezone(IST).date()
    orders: list[AuditOrder] = []
    positions: dict[Contract, int] = {}
    for account in rt.portfolio.accounts:
        broker = rt.broker(account)
        book = await broker.book()
        units = _traded(await broker.trades())
        for order in book:
            # what was traded is the proof; some brokers' order books tell no filled quantity
            filled = units.get(order.order_id, 0)
            orders.append(AuditOrder(account=account, order=replace(order, filled=filled), day=today))
        positions |= {(account, exchange, symbol): n for (exchange, symbol), n in (await broker.positions()).items()}
    return AuditBook(read_at=read_at, orders=tuple(orders), positions=positions, days=frozenset({today}))


def _traded(trades: Iterable[Trade]) -> Mapping[str, int]:
    units: Counter[str] = Counter()
    for trade in trades:
        units[trade.order_id] += trade.quantity
    return units


async def check(tx: Transaction, rt: Runtime, book: AuditBook) -> dict[str, Rows]:
    """Return the violations by invariant; those that the book cannot tell are left out."""
    ours = await _ours(tx, rt, book)
    found = {
        "I5": list(_ended(ours, book)),
        "I7": list(_unowned(ours, book)),
        "I9": list(_wrong_signs(ours, book)),
        "I10": list(_three_books(ours, book)),
    }
    if book.knows_ghosts:
        found["I1"] = list(_twins(book))
        found["I6"] = list(_denied(ours, book))
        found["I7"] += _taken(ours, book)
    if book.calls is not None:
        found["I18"] = list(_bursts(book))
    return found


async def _ours(tx: Transaction, rt: Runtime, book: AuditBook) -> _Ours:
    flying: list[Intent] = []
    for account in rt.portfolio.accounts:
        flying += await intents.in_flight(tx, account)
    filled, held = await audits.units(tx)
    return _Ours(
        states=await audits.intent_states(tx),
        ended=await audits.ended_at_broker(tx, before=book.read_at),
        named=await audits.named_orders(tx),
        flying=flying,
        filled=filled,
        held=held,
        layers=await audits.holdings_of_layers(tx),
        unsettled=await audits.unsettled(tx),
        disputed=await audits.disputed(tx),
        overfilled=await audits.overfilled(tx),
    )


def _twins(book: AuditBook) -> Iterator[dict[str, Any]]:
    """I1: one intent, several orders."""
    made: dict[str, list[str]] = defaultdict(list)
    for entry in book.orders:
        if _intent_id(entry) is not None:
            made[entry.ghost or ""].append(entry.order.order_id)
    for ghost, orders in made.items():
        if len(orders) > 1:
            yield {"intent": ghost, "orders": orders}


def _intent_id(entry: AuditOrder) -> UUID | None:
    try:
        return UUID(entry.ghost or "")
    except ValueError:
        return None


def _ended(ours: _Ours, book: AuditBook) -> Iterator[dict[str, Any]]:
    """I5: an order ended here, and the book does not show it, or shows another filled quantity."""
    shown = {(entry.account, entry.order.order_id): entry.order for entry in book.orders}
    for intent in ours.ended:
        if not book.covers(intent["broker_day"]):
            continue
        order = shown.get((intent["account"], intent["broker_order_id"]))
        filled = None if order is None else order.filled
        if filled != intent["filled"]:
            yield {**intent, "book_filled": filled}


def _denied(ours: _Ours, book: AuditBook) -> Iterator[dict[str, Any]]:
    """I6: the broker has an order of an intent that says there is none."""
    states = {row["id"]: IntentState(row["state"]) for row in ours.states}
    for entry in book.orders:
        intent = _intent_id(entry)
        state = None if intent is None else states.get(intent)
        if state in _NO_ORDER and (entry.account, entry.order.order_id) not in ours.named:
            yield {"intent": intent, "state": str(state), "account": entry.account, "order": entry.order.order_id}


def _unowned(ours: _Ours, book: AuditBook) -> Iterator[dict[str, Any]]:
    """I7: an order that no intent owns and no incident names."""
    for account in sorted({entry.account for entry in book.orders}):
        bound = {row["broker_order_id"] for row in ours.states if row["account"] == account and row["broker_order_id"]}
        found = orphans(
            [entry.order for entry in book.orders if entry.account == account],
            bound,
            {order_id for name, order_id in ours.named if name == account},
            [intent for intent in ours.flying if intent.account == account],
        )
        for order in found:
            yield {"account": account, "order": order.order_id, "symbol": order.symbol, "status": order.status}


def _taken(ours: _Ours, book: AuditBook) -> Iterator[dict[str, Any]]:
    """I7, where the book tells who made what: an order taken for an intent's that another one, or a person, made."""
    makers = {(entry.account, entry.order.order_id): entry.ghost for entry in book.orders}
    for row in ours.states:
        made_by = makers.get((row["account"], row["broker_order_id"]))
        by_hand = (row["how"] or "").startswith(audits.DECIDED)
        if made_by is not None and made_by != str(row["id"]) and not by_hand:
            yield {**row, "made_by": made_by}


def _wrong_signs(ours: _Ours, book: AuditBook) -> Iterator[dict[str, Any]]:
    """I9: short what must be long, or long the put that must be short; in the layers or at the broker."""
    for row in ours.layers:
        if _wrong(row["symbol"], row["quantity"]):
            yield {**row, "where": "layer"}
    for contract, quantity in book.positions.items():
        if _wrong(contract[2], quantity) and contract not in ours.disputed | ours.unsettled:
            yield {**_named(contract), "quantity": quantity, "where": "broker"}


def _wrong(symbol: str, quantity: int) -> bool:
    return quantity > 0 if symbol.endswith("PE") else quantity < 0


def _three_books(ours: _Ours, book: AuditBook) -> Iterator[dict[str, Any]]:
    """I10: layers, fills and the broker's positions agree, but where an order is under way or an incident is open."""
    for contract in sorted(ours.filled.keys() | ours.held.keys() | book.positions.keys()):
        filled, held = ours.filled.get(contract, 0), ours.held.get(contract, 0)
        theirs = book.positions.get(contract, 0)
        booked = filled == held or contract in ours.overfilled
        agreed = held == theirs or contract in ours.disputed | ours.unsettled
        if not booked or not agreed:
            yield {**_named(contract), "layers": held, "fills": filled, "broker": theirs}


def _named(contract: Contract) -> dict[str, Any]:
    return dict(zip(("account", "exchange", "symbol"), contract, strict=True))


def _bursts(book: AuditBook) -> Iterator[dict[str, Any]]:
    """I18: more order calls of one account in one calendar second than the broker allows."""
    seconds: Counter[tuple[str, datetime]] = Counter()
    for call in book.calls or ():
        seconds[call.account, call.at.astimezone(UTC).replace(microsecond=0)] += 1
    for (account, second), calls in sorted(seconds.items()):
        if calls > CALLS_PER_SECOND:
            yield {"account": account, "second": second, "calls": calls}
