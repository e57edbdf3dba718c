"""Valid messages of each kind, as the charts send them, with fields changed or left out."""

import json
from typing import Any, Final


class Without:
    """Stands for a field that is left out."""

    def __repr__(self) -> str:
        return "left out"


WITHOUT: Final = Without()

BASE: dict[str, Any] = {
    "type": "BASE_ENTRY",
    "instrument": "BANK_NIFTY",
    "position": "Long_1",
    "price": 58240.15,
    "stop": 57880,
    "lots": 4,
    "atr": 360.4,
    "er": 0.83,
    "supertrend": 57905.5,
    "roc": 2.1,
    "timestamp": "2027-01-11T13:00:02",
}
PYRAMID: dict[str, Any] = {
    "type": "PYRAMID",
    "instrument": "SILVER_MINI",
    "position": "Long_2",
    "price": 246900,
    "stop": 242100,
    "lots": 1,
    "atr": 1700,
    "er": 0.84,
    "supertrend": 242350,
    "roc": 1.9,
    "timestamp": "2027-01-19T19:00:00",
}
EXIT: dict[str, Any] = {
    "type": "EXIT",
    "instrument": "GOLD_MINI",
    "position": "Long_1",
    "price": 134379,
    "stop": 134380,
    "lots": 3,
    "atr": 760,
    "er": 0.4,
    "supertrend": 134900,
    "roc": -0.3,
    "reason": "TOM_BASSO_STOP",
    "entry_price": 134600,
    "timestamp": "2027-01-12T21:00:01",
}
SCOUT: dict[str, Any] = {
    "type": "EOD_MONITOR",
    "instrument": "GOLD_MINI",
    "timestamp": "2027-01-12T23:41:15",
    "price": 134870,
    "conditions": {
        "rsi_condition": True,
        "ema_condition": True,
        "dc_condition": False,
        "adx_condition": True,
        "er_condition": True,
        "st_condition": True,
        "not_doji": True,
        "long_entry": False,
        "long_exit": False,
    },
    "indicators": {
        "rsi": 73.4,
        "ema": 131250.5,
        "dc_upper": 135010,
        "adx": 12.8,
        "er": 0.8312,
        "supertrend": 134210,
        "atr": 795.25,
    },
}
BAR: dict[str, Any] = {
    "type": "MARKET_DATA",
    "instrument": "COPPER",
    "timestamp": "2027-01-13T11:30:00",
    "price": 917.85,
    "atr": 3.15,
    "supertrend": 919.1,
}
EVERY_KIND = (BASE, PYRAMID, EXIT, SCOUT, BAR)


def changed(message: dict[str, Any], **fields: Any) -> bytes:
    """Return the body of a message with some fields changed, or left out where they are WITHOUT."""
    merged = {**message, **fields}
    return json.dumps({name: value for name, value in merged.items() if value is not WITHOUT}).encode()


def with_nested(message: dict[str, Any], outer: str, **fields: Any) -> bytes:
    """Return the body of a message with fields of one of its objects changed or left out."""
    merged = {**message.get(outer, {}), **fields}
    return changed(message, **{outer: {name: value for name, value in merged.items() if value is not WITHOUT}})
