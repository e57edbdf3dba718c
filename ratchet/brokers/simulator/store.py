"""The book on disk: orders, trades and the log of order calls, committed before the server answers.

One SQLite file in WAL mode, held exclusively by one process; synchronous=FULL, so what a reply has said survives a
kill and a power cut. Calls that change no order (refused ones) are only buffered and written with the
next order: a kill may lose the last of them.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from ratchet.brokers.simulator.orders import PLAIN, Order, PriceType, Quirks, Side, Status, Trade

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT NOT NULL UNIQUE, account TEXT NOT NULL, ghost TEXT NOT NULL, origin TEXT NOT NULL,
    symbol TEXT NOT NULL, exchange TEXT NOT NULL, side TEXT NOT NULL, product TEXT NOT NULL, price_type TEXT NOT NULL,
    quantity TEXT NOT NULL, price TEXT NOT NULL, trigger_price TEXT NOT NULL, status TEXT NOT NULL,
    filled TEXT NOT NULL, average_price TEXT NOT NULL, shown_price TEXT NOT NULL, reason TEXT NOT NULL,
    placed_at TEXT NOT NULL, updated_at TEXT NOT NULL, quirks TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trades (
    trade_id TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL REFERENCES orders (order_id), quantity TEXT NOT NULL,
    price TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS calls (
    account TEXT NOT NULL, endpoint TEXT NOT NULL, at TEXT NOT NULL, limited INTEGER NOT NULL);
"""

# An order keeps its first row, so that row order is the order of placement.
_SAVE_ORDER = """
INSERT INTO orders (order_id, account, ghost, origin, symbol, exchange, side, product, price_type, quantity, price,
    trigger_price, status, filled, average_price, shown_price, reason, placed_at, updated_at, quirks)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (order_id) DO UPDATE SET quantity = excluded.quantity, price = excluded.price,
    trigger_price = excluded.trigger_price, status = excluded.status, filled = excluded.filled,
    average_price = excluded.average_price, reason = excluded.reason, updated_at = excluded.updated_at,
    quirks = excluded.quirks
"""
_SAVE_TRADE = "INSERT INTO trades (trade_id, order_id, quantity, price, at) VALUES (?, ?, ?, ?, ?)"
_SAVE_CALL = "INSERT INTO calls (account, endpoint, at, limited) VALUES (?, ?, ?, ?)"

_LOCK_WAIT_SECONDS = 5.0
_BUFFERED_CALLS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCall:
    """One request to place, modify or cancel."""

    account: str
    endpoint: str
    at: datetime
    limited: bool
    """Turned away by the rate limit."""


class Store:
    """The file. Not for use by several threads or tasks at once; every method is a plain, short call."""

    def __init__(self, path: Path | str, *, durable: bool) -> None:
        """Open or create the file. Raises sqlite3.OperationalError if another process holds it or it has no folder."""
        self._db = sqlite3.connect(path, timeout=_LOCK_WAIT_SECONDS, isolation_level=None)
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        self._db.executescript(_SCHEMA)
        self._calls: list[OrderCall] = []

    def close(self) -> None:
        """Write what is buffered and let the file go."""
        self._write((), ())
        self._db.close()

    def load(self) -> tuple[list[Order], list[Trade]]:
        """Return everything ever booked, in order of booking."""
        orders = [_order(row) for row in self._db.execute("SELECT * FROM orders ORDER BY rowid")]
        trades = [_trade(row) for row in self._db.execute("SELECT * FROM trades ORDER BY rowid")]
        return orders, trades

    def save(self, orders: Sequence[Order], trades: Sequence[Trade] = ()) -> None:
        """Commit new or changed orders with their new trades, and the calls noted so far."""
        self._write(orders, trades)

    def note(self, call: OrderCall) -> None:
        """Remember a call; it is written with the next commit."""
        self._calls.append(call)
        if len(self._calls) >= _BUFFERED_CALLS:
            self._write((), ())

    def calls(self) -> list[OrderCall]:
        """Return every noted call in order."""
        self._write((), ())
        rows = self._db.execute("SELECT account, endpoint, at, limited FROM calls ORDER BY rowid")
        return [
            OrderCall(account=account, endpoint=endpoint, at=datetime.fromisoformat(at), limited=bool(limited))
            for account, endpoint, at, limited in rows
        ]

    def _write(self, orders: Sequence[Order], trades: Sequence[Trade]) -> None:
        if not (orders or trades or self._calls):
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(_SAVE_ORDER, [_order_row(order) for order in orders])
            self._db.executemany(_SAVE_TRADE, [_trade_row(trade) for trade in trades])
            calls = [(call.account, call.endpoint, call.at.isoformat(), call.limited) for call in self._calls]
            self._db.executemany(_SAVE_CALL, calls)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._calls.clear()


def _order_row(order: Order) -> tuple[str, ...]:
    return (
        order.order_id,
        order.account,
        order.ghost,
        order.origin,
        order.symbol,
        order.exchange,
        order.side.value,
        order.product,
        order.price_type.value,
        str(order.quantity),
        str(order.price),
        str(order.trigger_price),
        order.status.value,
        str(order.filled),
        str(order.average_price),
        str(order.shown_price),
        order.reason,
        order.placed_at.isoformat(),
        order.updated_at.isoformat(),
        _quirks_text(order.quirks),
    )


def _order(row: Sequence[str]) -> Order:
    return Order(
        order_id=row[0],
        account=row[1],
        ghost=row[2],
        origin=row[3],
        symbol=row[4],
        exchange=row[5],
        side=Side(row[6]),
        product=row[7],
        price_type=PriceType(row[8]),
        quantity=Decimal(row[9]),
        price=Decimal(row[10]),
        trigger_price=Decimal(row[11]),
        status=Status(row[12]),
        filled=Decimal(row[13]),
        average_price=Decimal(row[14]),
        shown_price=Decimal(row[15]),
        reason=row[16],
        placed_at=datetime.fromisoformat(row[17]),
        updated_at=datetime.fromisoformat(row[18]),
        quirks=_quirks(row[19]),
    )


def _trade_row(trade: Trade) -> tuple[str, ...]:
    return trade.trade_id, trade.order_id, str(trade.quantity), str(trade.price), trade.at.isoformat()


def _trade(row: Sequence[str]) -> Trade:
    trade_id, order_id, quantity, price, at = row
    return Trade(
        trade_id=trade_id,
        order_id=order_id,
        quantity=Decimal(quantity),
        price=Decimal(price),
        at=datetime.fromisoformat(at),
    )


def _quirks_text(quirks: Quirks) -> str:
    if quirks == PLAIN:
        return ""
    return json.dumps(
        {
            "fill_limit": None if quirks.fill_limit is None else str(quirks.fill_limit),
            "rest_at": _instant_text(quirks.rest_at),
            "reject_at": _instant_text(quirks.reject_at),
            "reject_text": quirks.reject_text,
            "visible_at": _instant_text(quirks.visible_at),
            "word": quirks.word,
            "word_until": _instant_text(quirks.word_until),
            "shown_as_limit": quirks.shown_as_limit,
        }
    )


def _quirks(text: str) -> Quirks:
    if not text:
        return PLAIN
    stored = json.loads(text)
    return Quirks(
        fill_limit=None if stored["fill_limit"] is None else Decimal(stored["fill_limit"]),
        rest_at=_instant(stored["rest_at"]),
        reject_at=_instant(stored["reject_at"]),
        reject_text=stored["reject_text"],
        visible_at=_instant(stored["visible_at"]),
        word=stored["word"],
        word_until=_instant(stored["word_until"]),
        shown_as_limit=stored["shown_as_limit"],
    )


def _instant_text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
