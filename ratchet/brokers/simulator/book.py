"""The broker's book: every account's orders, trades and positions in memory, each change on disk first.

The order of every method is the same: decide, commit to the store, change the view. A commit that fails therefore
leaves the view as the file has it.
"""

import heapq
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from ratchet.brokers.simulator.matching import Fill, filled, work
from ratchet.brokers.simulator.orders import Order, Position, PositionKey, Status, Trade
from ratchet.brokers.simulator.quotes import Quote
from ratchet.brokers.simulator.settings import IST
from ratchet.brokers.simulator.store import Store

QuoteOf = Callable[[str, str], Quote | None]
"""Finds the quote of (exchange, symbol); None if there is no such instrument."""

_IDS_A_DAY = 10**9


class Book:
    """All accounts' orders."""

    def __init__(self, store: Store, quote_of: QuoteOf) -> None:
        """Read the store."""
        self._store = store
        self._quote_of = quote_of
        self._orders: dict[str, Order] = {}
        self._by_account: dict[str, dict[str, None]] = defaultdict(dict)
        self._trades: dict[str, list[Trade]] = defaultdict(list)
        self._positions: dict[str, dict[PositionKey, Position]] = defaultdict(dict)
        self._lagging: dict[str, set[str]] = defaultdict(set)
        self._working: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._due: list[tuple[datetime, str]] = []
        orders, trades = store.load()
        for order in orders:
            self._show(order)
        for trade in trades:
            self._show_trade(trade)

    # -- reading -------------------------------------------------------------------------------------------------------

    def order(self, account: str, order_id: str) -> Order | None:
        """Return an account's order, None if the account has no such order."""
        order = self._orders.get(order_id)
        return order if order is not None and order.account == account else None

    def orders(self, account: str) -> list[Order]:
        """Return an account's orders, oldest first."""
        return [self._orders[order_id] for order_id in self._by_account.get(account, ())]

    def working(self, account: str) -> list[Order]:
        """Return an account's orders that can still fill."""
        found = [self._orders[order_id] for order_ids in self._working.values() for order_id in order_ids]
        return [order for order in found if order.account == account]

    def trades(self, order_id: str) -> Sequence[Trade]:
        """Return an order's trades, oldest first."""
        return self._trades.get(order_id, ())

    def positions(self, account: str, now: datetime) -> dict[PositionKey, Position]:
        """Return an account's net positions, closed ones included; trades that no book shows yet do not count."""
        if not any(self._orders[order_id].quirks.hides_at(now) for order_id in self._lagging.get(account, ())):
            return self._positions.get(account, {})
        netted: dict[PositionKey, Position] = {}
        for order in self.orders(account):
            if not order.quirks.hides_at(now):
                for trade in self.trades(order.order_id):
                    _net(netted, order, trade)
        return netted

    def accounts(self) -> list[str]:
        """Return the accounts that have ever had an order."""
        return list(self._by_account)

    def new_order_id(self, now: datetime) -> str:
        """Return an unused id: the date and chance, so ids neither count up nor sort by time."""
        while True:
            order_id = f"{now.astimezone(IST):%y%m%d}{secrets.randbelow(_IDS_A_DAY):09d}"
            if order_id not in self._orders:
                return order_id

    # -- changing ------------------------------------------------------------------------------------------------------

    def place(self, order: Order) -> Order:
        """Book an order and what of it fills at once, in one commit."""
        return self._work(order, order.placed_at, arriving=True, always_save=True)

    def modify(self, order: Order, now: datetime) -> Order:
        """Book a working order's new terms and what of it fills under them."""
        return self._work(replace(order, updated_at=now), now, arriving=True, always_save=True)

    def cancel(self, order: Order, now: datetime) -> Order:
        """Take a working order out of the market; what has filled stays."""
        return self._commit(replace(order, status=Status.CANCELLED, updated_at=now), None)

    def fill_by_hand(self, order: Order, fill: Fill, now: datetime) -> Order:
        """Fill a working order with this quantity at this price, whatever the quotes say."""
        order, fill = filled(order, fill, now)
        return self._commit(order, fill)

    def settle(self, now: datetime) -> None:
        """Do what has become due: rests of partial fills, late rejections."""
        while self._due and self._due[0][0] <= now:
            _, order_id = heapq.heappop(self._due)
            self._work(self._orders[order_id], now, arriving=False, always_save=False)

    def reprice(self, instruments: Iterable[tuple[str, str]], now: datetime) -> None:
        """Fill the resting orders of these (exchange, symbol) that their new quotes cross."""
        for key in instruments:
            for order_id in sorted(self._working.get(key, ())):
                self._work(self._orders[order_id], now, arriving=False, always_save=False)

    def _work(self, order: Order, now: datetime, *, arriving: bool, always_save: bool) -> Order:
        quote = self._quote_of(order.exchange, order.symbol)
        fill = None
        worked = order
        if quote is not None:
            worked, fill = work(order, quote, now, arriving=arriving)
        return self._commit(worked, fill) if always_save or worked is not order else order

    def _commit(self, order: Order, fill: Fill | None) -> Order:
        trades: list[Trade] = []
        if fill is not None:
            number = len(self.trades(order.order_id)) + 1
            trade_id = f"{order.order_id}-{number}"
            at = order.updated_at
            trades.append(
                Trade(trade_id=trade_id, order_id=order.order_id, quantity=fill.quantity, price=fill.price, at=at)
            )
        self._store.save([order], trades)
        self._show(order)
        for trade in trades:
            self._show_trade(trade)
        return order

    def _show(self, order: Order) -> None:
        self._orders[order.order_id] = order
        self._by_account[order.account][order.order_id] = None
        if order.quirks.visible_at is not None:
            self._lagging[order.account].add(order.order_id)
        working = self._working[order.exchange, order.symbol]
        if not order.status.working:
            working.discard(order.order_id)
            return
        if order.order_id not in working:
            working.add(order.order_id)
            for due in (order.quirks.rest_at, order.quirks.reject_at):
                if due is not None:
                    heapq.heappush(self._due, (due, order.order_id))

    def _show_trade(self, trade: Trade) -> None:
        order = self._orders[trade.order_id]
        self._trades[trade.order_id].append(trade)
        _net(self._positions[order.account], order, trade)


def _net(positions: dict[PositionKey, Position], order: Order, trade: Trade) -> None:
    key = PositionKey(symbol=order.symbol, exchange=order.exchange, product=order.product)
    positions[key] = positions.get(key, Position()).after(order.side, trade.quantity, trade.price, trade.at)
