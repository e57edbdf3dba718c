"""Money: the portfolio row that guards margin, and the append-only ledger from which equity follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Date, String, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ratchet.persistence.tables import ledger, portfolio
from ratchet.persistence.transaction import Transaction, Write
from ratchet.persistence.types import Fixed, db_now

_MONEY = ("margin_limit", "reserved", "used", "closed_equity", "closed_peak", "day_start_equity")
_READ = select(portfolio).where(portfolio.c.account == bindparam("account", type_=String))
_LOCK = _READ.with_for_update()
_ACCOUNTS = select(portfolio.c.account).order_by(portfolio.c.account)
_SAVE = (
    update(portfolio)
    .where(portfolio.c.account == bindparam("k_account", type_=String))
    .values(
        {name: bindparam(f"new_{name}", type_=Fixed) for name in _MONEY}
        | {"loss_day": bindparam("new_loss_day", type_=Date), "version": portfolio.c.version + 1}
    )
)
_CREATE = {
    name: make(portfolio)
    .values(
        account=bindparam("account"),
        margin_limit=Decimal(0),
        reserved=Decimal(0),
        used=Decimal(0),
        closed_equity=Decimal(0),
        closed_peak=Decimal(0),
    )
    .on_conflict_do_nothing()
    for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_BOOK = {
    name: make(ledger)
    .values(
        {
            column: bindparam(column, type_=ledger.c[column].type)
            for column in "id account kind amount ref position_id note".split()
        }
        | {"at": db_now()}
    )
    .on_conflict_do_nothing()
    for name, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """An account's money, in rupees. reserved: margin of intents in flight; used: margin of what is open.

    closed_equity: the sum of the ledger. day_start_equity: closed equity when the IST day `loss_day` began.
    """

    account: str
    margin_limit: Decimal
    reserved: Decimal
    used: Decimal
    closed_equity: Decimal
    closed_peak: Decimal
    loss_day: date | None
    day_start_equity: Decimal | None

    def on_day(self, day: date) -> Purse:
        """Return the purse with the day's opening equity noted."""
        if self.loss_day == day:
            return self
        return replace(self, loss_day=day, day_start_equity=self.closed_equity)


async def lock(tx: Transaction, account: str) -> Purse:
    """Lock and return an account's purse."""
    return await _purse(tx, account, for_update=True)


async def read(tx: Transaction, account: str) -> Purse:
    """Return an account's purse as it stands."""
    return await _purse(tx, account, for_update=False)


async def _purse(tx: Transaction, account: str, *, for_update: bool) -> Purse:
    row = await tx.one(_LOCK if for_update else _READ, account=account)
    return Purse(
        account=account,
        margin_limit=row["margin_limit"],
        reserved=row["reserved"],
        used=row["used"],
        closed_equity=row["closed_equity"],
        closed_peak=row["closed_peak"],
        loss_day=row["loss_day"],
        day_start_equity=row["day_start_equity"],
    )


async def save(tx: Transaction, purse: Purse) -> None:
    """Write a locked purse back. A CHECK refuses negative margins."""
    await tx.change(saving(purse))


def saving(purse: Purse) -> Write:
    """Return the change that writes a locked purse back."""
    values: dict[str, Any] = {f"new_{name}": getattr(purse, name) for name in (*_MONEY, "loss_day")}
    return Write(_SAVE, {"k_account": purse.account, **values})


async def book(
    tx: Transaction,
    purse: Purse,
    *,
    kind: str,
    amount: Decimal,
    ref: str,
    position_id: UUID | None = None,
    note: str | None = None,
) -> Purse:
    """Add a ledger row and move the locked purse's closed equity with it; a `ref` that was booked changes nothing.

    amount: rupees, signed, not zero. Returns the purse, which the caller saves.
    """
    row = _ledger_row(purse, kind=kind, amount=amount, ref=ref, position_id=position_id, note=note)
    booked = await tx.count(_BOOK[tx.dialect], **row)
    return _moved(purse, amount) if booked else purse


def booking_result(
    tx: Transaction, purse: Purse, *, amount: Decimal, ref: str, position_id: UUID
) -> tuple[Write, Purse]:
    """Return the change that books the result of a fill that is new for sure, and the purse after it."""
    row = _ledger_row(purse, kind="TRADING_PNL", amount=amount, ref=ref, position_id=position_id, note=None)
    return Write(_BOOK[tx.dialect], row), _moved(purse, amount)


def _ledger_row(purse: Purse, **values: Any) -> dict[str, Any]:
    return {"id": uuid4(), "account": purse.account, **values}


def _moved(purse: Purse, amount: Decimal) -> Purse:
    equity = purse.closed_equity + amount
    return replace(purse, closed_equity=equity, closed_peak=max(purse.closed_peak, equity))


async def ensure(tx: Transaction, account: str, initial_capital: Decimal) -> None:
    """Make sure that the account has a purse, and book its initial capital once."""
    await tx.count(_CREATE[tx.dialect], account=account)
    if initial_capital > 0:
        purse = await lock(tx, account)
        funded = await book(tx, purse, kind="DEPOSIT", amount=initial_capital, ref="initial_capital")
        if funded is not purse:
            await save(tx, funded)


async def accounts(tx: Transaction) -> list[str]:
    """Return every account that has a purse."""
    return [row["account"] for row in await tx.all(_ACCOUNTS)]
