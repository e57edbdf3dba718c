"""Figures of a day, read from what happened, and written where reports find them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Integer, bindparam, case, func, select
from sqlalchemy.dialects import postgresql, sqlite

from ratchet.persistence.report_tables import equity_snapshot, statistics
from ratchet.persistence.tables import ledger, order_intent, positions, signal_log
from ratchet.persistence.transaction import Transaction
from ratchet.persistence.types import UtcDateTime, db_now

LATENCY_SAMPLE = 20_000
"""Most signals of one day whose latency is read."""

_SINCE, _UNTIL = bindparam("since", type_=UtcDateTime), bindparam("until", type_=UtcDateTime)
_SIGNALS = (
    select(signal_log.c.account, signal_log.c.instrument, signal_log.c.status, func.count().label("many"))
    .where(signal_log.c.signal_ts >= _SINCE, signal_log.c.signal_ts < _UNTIL)
    .group_by(signal_log.c.account, signal_log.c.instrument, signal_log.c.status)
)
_LATENCIES = (
    select(signal_log.c.account, signal_log.c.instrument, signal_log.c.received_at, signal_log.c.terminal_at)
    .where(signal_log.c.signal_ts >= _SINCE, signal_log.c.signal_ts < _UNTIL, signal_log.c.terminal_at.is_not(None))
    .order_by(signal_log.c.seq.desc())
    .limit(LATENCY_SAMPLE)
)
_ORDERS = (
    select(order_intent.c.account, order_intent.c.instrument, order_intent.c.state, func.count().label("many"))
    .where(order_intent.c.created_at >= _SINCE, order_intent.c.created_at < _UNTIL)
    .group_by(order_intent.c.account, order_intent.c.instrument, order_intent.c.state)
)
_REALISED = (
    select(ledger.c.account, positions.c.instrument, func.sum(ledger.c.amount).label("amount"))
    .join(positions, positions.c.id == ledger.c.position_id)
    .where(ledger.c.at >= _SINCE, ledger.c.at < _UNTIL, ledger.c.kind == "TRADING_PNL")
    .group_by(ledger.c.account, positions.c.instrument)
)
_TRADES = (
    select(
        positions.c.account,
        positions.c.instrument,
        func.sum(case((positions.c.realised > Decimal(0), 1), else_=0)).cast(Integer).label("won"),
        func.sum(case((positions.c.realised < Decimal(0), 1), else_=0)).cast(Integer).label("lost"),
    )
    .where(positions.c.closed_at >= _SINCE, positions.c.closed_at < _UNTIL)
    .group_by(positions.c.account, positions.c.instrument)
)
_FIGURES = ("signals", "orders", "realised", "latency", "trades")
_KEY = ("account", "day", "instrument")
_SAVE_VALUES = {name: bindparam(name, type_=statistics.c[name].type) for name in _FIGURES} | {"updated_at": db_now()}
_SAVE = {
    name: make(statistics)
    .values({key: bindparam(key, type_=statistics.c[key].type) for key in _KEY} | _SAVE_VALUES)
    .on_conflict_do_update(index_elements=list(_KEY), set_=_SAVE_VALUES)
    for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_OF_DAY = (
    select(statistics)
    .where(
        statistics.c.account == bindparam("account"), statistics.c.day == bindparam("day", type_=statistics.c.day.type)
    )
    .order_by(statistics.c.instrument)
)
_SNAPSHOT = {
    name: make(equity_snapshot)
    .values(
        {
            key: bindparam(key, type_=equity_snapshot.c[key].type)
            for key in "account closed unrealised reserved used peak".split()
        }
        | {"at": db_now()}
    )
    .on_conflict_do_nothing()
    for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_CURVE = (
    select(equity_snapshot)
    .where(equity_snapshot.c.account == bindparam("account"), equity_snapshot.c.at >= _SINCE)
    .order_by(equity_snapshot.c.at)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """What one instrument of one account did on one IST day."""

    account: str
    day: date
    instrument: str
    signals: Mapping[str, int]
    orders: Mapping[str, int]
    realised: Decimal
    latency: Mapping[str, float] | None
    trades: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawDay:
    """A day as it was read: rows by (account, instrument)."""

    signals: list[tuple[str, str, str, int]]
    latencies: list[tuple[str, str, float]]
    orders: list[tuple[str, str, str, int]]
    realised: list[tuple[str, str, Decimal]]
    trades: list[tuple[str, str, int, int]]


async def read_day(tx: Transaction, *, since: datetime, until: datetime) -> RawDay:
    """Return what happened between two instants."""
    span = {"since": since, "until": until}
    return RawDay(
        signals=[_counted(r, "status") for r in await tx.all(_SIGNALS, **span)],
        latencies=[
            (r["account"], r["instrument"], (r["terminal_at"] - r["received_at"]).total_seconds() * 1000)
            for r in await tx.all(_LATENCIES, **span)
        ],
        orders=[_counted(r, "state") for r in await tx.all(_ORDERS, **span)],
        realised=[(r["account"], r["instrument"], r["amount"]) for r in await tx.all(_REALISED, **span)],
        trades=[(r["account"], r["instrument"], r["won"], r["lost"]) for r in await tx.all(_TRADES, **span)],
    )


def _counted(row: Mapping[str, Any], what: str) -> tuple[str, str, str, int]:
    return (row["account"], row["instrument"], row[what], row["many"])


async def save(tx: Transaction, figures: DayFigures) -> None:
    """Write one day's figures over what was there."""
    await tx.count(
        _SAVE[tx.dialect],
        account=figures.account,
        day=figures.day,
        instrument=figures.instrument,
        signals=dict(figures.signals),
        orders=dict(figures.orders),
        realised=figures.realised,
        latency=None if figures.latency is None else dict(figures.latency),
        trades=None if figures.trades is None else dict(figures.trades),
    )


async def of_day(tx: Transaction, account: str, day: date) -> list[Mapping[str, Any]]:
    """Return the stored figures of one account's day, by instrument."""
    return list(await tx.all(_OF_DAY, account=account, day=day))


async def snapshot(
    tx: Transaction,
    account: str,
    *,
    closed: Decimal,
    unrealised: Decimal,
    reserved: Decimal,
    used: Decimal,
    peak: Decimal,
) -> None:
    """Add a point to the account's curve."""
    await tx.count(
        _SNAPSHOT[tx.dialect],
        account=account,
        closed=closed,
        unrealised=unrealised,
        reserved=reserved,
        used=used,
        peak=peak,
    )


async def curve(tx: Transaction, account: str, *, since: datetime) -> list[Mapping[str, Any]]:
    """Return the account's curve from an instant on."""
    return list(await tx.all(_CURVE, account=account, since=since))
