"""Layers: what fills add up to, one row for each `Long_N` of one trade, with the contracts that it holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from ratchet.domain.identity import AccountId, PositionId
from ratchet.domain.numbers import ZERO


class LayerStatus(StrEnum):
    """`opening` until its entry's plan has ended; `closing` once an exit has taken it; frozen stops while closing."""

    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


LIVE = frozenset({LayerStatus.OPENING, LayerStatus.OPEN, LayerStatus.CLOSING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What a layer holds of one contract. quantity: signed units (short is negative); avg_price: of the entry fills."""

    exchange: str
    symbol: str
    quantity: int
    avg_price: Decimal
    lot_size: int
    tick: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One open layer. Source: docs/domain.md, sections 6, 7 and 11.

    lots: matched whole lots now; entry_lots: lots filled at entry. entry_price: of the exposure (for a synthetic:
    strike + CE - PE). signal_price, signal_ts: of the signal that opened it. margin: rupees in use.
    """

    id: PositionId
    account: AccountId
    instrument: str
    trade_id: UUID
    number: int
    status: LayerStatus
    lots: int
    entry_lots: int
    entry_price: Decimal
    signal_price: Decimal
    signal_ts: datetime
    initial_stop: Decimal
    stop: Decimal
    high: Decimal
    atr: Decimal
    margin: Decimal = ZERO
    realised: Decimal = ZERO
    strike: Decimal | None = None
    holdings: tuple[Holding, ...] = ()
    version: int = 1

    @property
    def name(self) -> str:
        """The label of the layer, `Long_N`."""
        return f"Long_{self.number}"

    def held(self, symbol: str) -> int:
        """Return the signed units held of `symbol`."""
        return sum(h.quantity for h in self.holdings if h.symbol == symbol)

    @property
    def contract_entry(self) -> Decimal:
        """The entry into the contract held now, from its fills; after a roll it differs from `entry_price`.

        Profit in rupees counts from here; the strategy's distances count from `entry_price`. Source: docs/domain.md,
        D-33.
        """
        held = [h for h in self.holdings if h.quantity]
        if self.strike is None:
            return held[0].avg_price if len(held) == 1 else self.entry_price
        call = next((h for h in held if h.quantity > 0), None)
        put = next((h for h in held if h.quantity < 0), None)
        if call is None or put is None:
            return self.entry_price
        return self.strike + call.avg_price - put.avg_price

    @property
    def flat(self) -> bool:
        """Whether nothing is held any more."""
        return all(h.quantity == 0 for h in self.holdings)
