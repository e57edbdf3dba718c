"""Prices: what the simulator quotes and what messages name, moved together in steps of each instrument's ATR."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.harness.broker import BrokerDesk
from tests.messages import PRICES, message

_RISE = Decimal("1.7")
"""ATRs of one rise: enough for the spacing of pyramids, and for the risk of the base that they must have earned."""


class Market:
    """The present price of each instrument."""

    def __init__(self) -> None:
        self._price = {name: Decimal(price) for name, (price, _, _) in PRICES.items()}

    async def rise(self, broker: BrokerDesk, instrument: str) -> None:
        """Move an instrument up a step: first at the broker, so that no message is ahead of it."""
        price = self._price[instrument] + _RISE * self._atr(instrument)
        await broker.admin("quotes", {"underlying": instrument, "ltp": str(price)})
        self._price[instrument] = price

    async def show(self, broker: BrokerDesk) -> None:
        """Let the simulator quote the present prices: it forgets them when it starts."""
        for name, price in self._price.items():
            await broker.admin("quotes", {"underlying": name, "ltp": str(price)})

    def message(self, kind: str, instrument: str, *, falls: bool = False, **fields: Any) -> bytes:
        """Return a message at the present price; falls: far below any stop."""
        atr = self._atr(instrument)
        price = self._price[instrument] - (10 * atr if falls else 0)
        stop = self._price[instrument] - atr
        named = {"price": str(price), "stop": str(stop), "supertrend": str(stop)}
        if kind == "EOD_MONITOR":
            named = {"price": str(price), **_eod(str(stop), str(atr))}
        return message(kind, instrument, **named, **fields)

    def _atr(self, instrument: str) -> Decimal:
        return Decimal(PRICES[instrument][2])


def _eod(stop: str, atr: str) -> dict[str, Any]:
    conditions = ("rsi", "ema", "dc", "adx", "er", "st")
    return {
        "conditions": {f"{name}_condition": True for name in conditions}
        | {"not_doji": True, "long_entry": True, "long_exit": False},
        "indicators": {"rsi": "61", "ema": stop, "dc_upper": stop, "adx": "24", "er": "0.9"}
        | {"supertrend": stop, "atr": atr},
    }
