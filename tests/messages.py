"""Valid messages near the simulator's prices, as bytes on the wire."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

PRICES: dict[str, tuple[str, str, str]] = {
    "BANK_NIFTY": ("58240", "57880", "360"),
    "GOLD_MINI": ("134870", "134050", "820"),
    "SILVER_MINI": ("246900", "243500", "1700"),
    "COPPER": ("918", "911", "3.2"),
}
"""Price, stop and ATR by instrument."""


def message(kind: str, instrument: str = "GOLD_MINI", **fields: Any) -> bytes:
    """Return a message of `kind`, stamped now; `fields` replace or add."""
    price, stop, atr = PRICES[instrument]
    body: dict[str, Any] = {
        "type": kind,
        "instrument": instrument,
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "price": price,
        "atr": atr,
        "supertrend": stop,
    }
    if kind in ("BASE_ENTRY", "PYRAMID", "EXIT"):
        body |= {"stop": stop, "lots": 1, "er": "0.9", "position": {"PYRAMID": "Long_2"}.get(kind, "Long_1")}
    if kind == "EXIT":
        body |= {"reason": "TOM_BASSO_STOP", "position": "ALL"}
    body |= {name: value for name, value in fields.items() if name != "account"}
    return json.dumps(body).encode()
