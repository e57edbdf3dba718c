"""What an entry's planning decided, as it is written on the signal's row for every later turn to read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """The layer to open. signal_price, stop, atr: price units; lots: sized; lot_size: units a lot.

    margin_per_lot: rupees. facts: what sizing saw, for people.
    """

    number: int
    lots: int
    lot_size: int
    signal_price: Decimal
    stop: Decimal
    atr: Decimal
    strike: Decimal | None
    expiry: date
    symbols: tuple[str, ...]
    margin_per_lot: Decimal
    facts: dict[str, str]

    @property
    def quantity(self) -> int:
        """Units of each leg."""
        return self.lots * self.lot_size

    def to_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object; numbers as text."""
        return {
            "number": self.number,
            "lots": self.lots,
            "lot_size": self.lot_size,
            "signal_price": str(self.signal_price),
            "stop": str(self.stop),
            "atr": str(self.atr),
            "strike": None if self.strike is None else str(self.strike),
            "expiry": self.expiry.isoformat(),
            "symbols": list(self.symbols),
            "margin_per_lot": str(self.margin_per_lot),
            "facts": self.facts,
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> LayerPlan:
        """Return the plan that `to_json` wrote."""
        return LayerPlan(
            number=data["number"],
            lots=data["lots"],
            lot_size=data["lot_size"],
            signal_price=Decimal(data["signal_price"]),
            stop=Decimal(data["stop"]),
            atr=Decimal(data["atr"]),
            strike=None if data["strike"] is None else Decimal(data["strike"]),
            expiry=date.fromisoformat(data["expiry"]),
            symbols=tuple(data["symbols"]),
            margin_per_lot=Decimal(data["margin_per_lot"]),
            facts=data["facts"],
        )
