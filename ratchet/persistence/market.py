"""The last bar, quote and end-of-day view of each instrument, shared by all pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import String, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from ratchet.persistence.tables import market
from ratchet.persistence.transaction import Transaction, Write
from ratchet.persistence.types import db_now

_READ = select(market).where(market.c.account == bindparam("account"), market.c.instrument == bindparam("instrument"))
_LAST_QUOTE = select(market.c.quote_price, market.c.quote_at, db_now().label("now")).where(
    market.c.account == bindparam("account"), market.c.instrument == bindparam("instrument")
)
_OF_ACCOUNT = select(market).where(market.c.account == bindparam("account", type_=String))


def _upsert(*columns: str, **fixed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {column: bindparam(column, type_=market.c[column].type) for column in columns} | fixed
    return {
        name: make(market)
        .values(account=bindparam("account"), instrument=bindparam("instrument"), **values)
        .on_conflict_do_update(index_elements=["account", "instrument"], set_=values)
        for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
    }


_BAR = _upsert("bar_ts", "bar_close", "bar_atr", "bar_supertrend")
_QUOTE = _upsert("quote_price", quote_at=db_now())
_VIEW = _upsert("view", "view_ts")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketState:
    """What was last seen of an instrument. Prices in its units; view: the latest EOD_MONITOR message."""

    instrument: str
    bar_ts: datetime | None = None
    bar_close: Decimal | None = None
    bar_atr: Decimal | None = None
    quote_price: Decimal | None = None
    quote_at: datetime | None = None
    view: Mapping[str, Any] | None = None
    view_ts: datetime | None = None

    @property
    def last_price(self) -> Decimal | None:
        """The last applied bar's close, else the last quote. Source: docs/domain.md, section 6.1."""
        return self.bar_close if self.bar_close is not None else self.quote_price


def _state(row: Mapping[str, Any]) -> MarketState:
    names = "instrument bar_ts bar_close bar_atr quote_price quote_at view view_ts".split()
    return MarketState(**{name: row[name] for name in names})


async def read(tx: Transaction, account: str, instrument: str) -> MarketState:
    """Return what was last seen of one instrument."""
    row = await tx.first(_READ, account=account, instrument=instrument)
    return MarketState(instrument=instrument) if row is None else _state(row)


async def last_quote(tx: Transaction, account: str, instrument: str, *, within: timedelta) -> Decimal | None:
    """Return the last quote's price, or None if there is none of that age."""
    row = await tx.first(_LAST_QUOTE, account=account, instrument=instrument)
    if row is None or row["quote_at"] is None or row["now"] - row["quote_at"] >= within:
        return None
    price: Decimal = row["quote_price"]
    return price


async def of_account(tx: Transaction, account: str) -> dict[str, MarketState]:
    """Return what was last seen, by instrument."""
    return {row["instrument"]: _state(row) for row in await tx.all(_OF_ACCOUNT, account=account)}


def setting_bar(
    tx: Transaction, account: str, instrument: str, *, at: datetime, close: Decimal, atr: Decimal, supertrend: Decimal
) -> Write:
    """Return the change that stores the bar that was applied. The caller holds the lane."""
    bar = {"bar_ts": at, "bar_close": close, "bar_atr": atr, "bar_supertrend": supertrend}
    return Write(_BAR[tx.dialect], {"account": account, "instrument": instrument, **bar})


async def set_quote(tx: Transaction, account: str, instrument: str, price: Decimal) -> None:
    """Store the last quote, dated by the database."""
    await tx.count(_QUOTE[tx.dialect], account=account, instrument=instrument, quote_price=price)


async def set_view(tx: Transaction, account: str, instrument: str, *, at: datetime, view: Mapping[str, Any]) -> None:
    """Store the latest end-of-day message."""
    await tx.count(_VIEW[tx.dialect], account=account, instrument=instrument, view=dict(view), view_ts=at)
