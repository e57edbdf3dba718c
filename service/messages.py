"""The five messages in JSON Schema, for the OpenAPI description. What decides is ratchet.domain.webhook."""

from __future__ import annotations

from typing import Any

from ratchet.domain.signals import ALL, BASE_LAYER, LAYERS, SignalKind
from ratchet.domain.webhook import CONDITIONS, INDICATORS, MAX_REASON
from ratchet.domain.webhook_fields import INSTRUMENTS

Schema = dict[str, Any]

_TEXT_NUMBER: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}


def _number(description: str, **bounds: Any) -> Schema:
    """Return the schema of a number, which may also come as plain decimal text."""
    return {"anyOf": [{"type": "number", **bounds}, _TEXT_NUMBER], "description": description}


def _nullable(schema: Schema) -> Schema:
    return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}


_BELOW = {"exclusiveMaximum": 1_000_000_000}
_ABOVE_ZERO: Schema = {"exclusiveMinimum": 0, **_BELOW}
_FROM_ZERO: Schema = {"minimum": 0, **_BELOW}
_ANY: Schema = {"exclusiveMinimum": -1_000_000_000, **_BELOW}

_TIMESTAMP: Schema = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?$",
    "description": "ISO 8601 with seconds, from 2000 up to 2100; without an offset it is Indian time.",
    "examples": ["2027-01-11T13:00:02"],
}


def _message(kind: SignalKind, required: dict[str, Schema], optional: dict[str, Schema]) -> Schema:
    common: dict[str, Schema] = {
        "type": {"type": "string", "enum": [str(kind)], "description": "Case does not matter."},
        "instrument": {"type": "string", "enum": sorted(INSTRUMENTS), "description": "Case does not matter."},
        "timestamp": _TIMESTAMP,
    }
    token: Schema = {"type": "string", "description": "The webhook's token, if it is not in the address."}
    return {
        "type": "object",
        "title": str(kind),
        "description": "Further fields are kept in the raw log.",
        "properties": {**common, **required, **optional, "token": token},
        "required": [*common, *required],
    }


def _trade(kind: SignalKind, positions: list[str]) -> Schema:
    exits = kind is SignalKind.EXIT
    loose = _FROM_ZERO if exits else _ABOVE_ZERO
    required: dict[str, Schema] = {
        "position": {"type": "string", "enum": positions},
        "price": _number("Close of the chart at the signal.", **_ABOVE_ZERO),
        "stop": _number("Stop level." if exits else "Stop level, below the price.", **loose),
        "lots": _number("Whole lots, advisory.", multipleOf=1, **_FROM_ZERO),
        "atr": _number("ATR(10) in price units.", **loose),
        "er": _number("Efficiency ratio.", **(_ANY if exits else {"minimum": 0, "maximum": 1})),
        "supertrend": _number("Supertrend level.", **loose),
    }
    optional = {"roc": _nullable(_number("Rate of change in percent.", **_ANY))}
    if exits:
        required["reason"] = {"type": "string", "minLength": 1, "maxLength": MAX_REASON, "pattern": r"\S"}
        optional["entry_price"] = _nullable(_number("The chart's own entry; informational.", **_ANY))
    return _message(kind, required, optional)


def _scout() -> Schema:
    bounds: dict[str, Schema] = {
        "atr": _ABOVE_ZERO,
        "supertrend": _ABOVE_ZERO,
        "er": {"minimum": 0, "maximum": 1},
        "rsi": {"minimum": 0, "maximum": 100},
    }
    required: dict[str, Schema] = {
        "price": _number("Last price.", **_ABOVE_ZERO),
        "conditions": {
            "type": "object",
            "properties": {name: {"type": "boolean"} for name in CONDITIONS},
            "required": list(CONDITIONS),
        },
        "indicators": {
            "type": "object",
            "properties": {
                **{name: _number(f"Indicator {name}.", **bounds.get(name, _ANY)) for name in INDICATORS},
                "roc": _nullable(_number("Rate of change in percent.", **_ANY)),
            },
            "required": list(INDICATORS),
        },
    }
    status: Schema = {
        "type": ["object", "null"],
        "description": "Checked and never used: the executor's own state decides.",
        "properties": {
            "in_position": {"type": "boolean"},
            "pyramid_count": _nullable(_number("Pyramids.", multipleOf=1, minimum=0, maximum=5)),
        },
        "required": ["in_position"],
    }
    sizing: Schema = {"type": ["object", "null"], "description": "Ignored."}
    return _message(SignalKind.EOD_MONITOR, required, {"position_status": status, "sizing": sizing})


def _bar() -> Schema:
    required = {
        "price": _number("Close of the bar.", **_ABOVE_ZERO),
        "atr": _number("ATR(10) in price units.", **_ABOVE_ZERO),
        "supertrend": _number("Supertrend level.", **_ABOVE_ZERO),
    }
    return _message(SignalKind.MARKET_DATA, required, {})


_MESSAGES: dict[str, Schema] = {
    "BaseEntryMessage": _trade(SignalKind.BASE_ENTRY, [BASE_LAYER]),
    "PyramidMessage": _trade(SignalKind.PYRAMID, [layer for layer in LAYERS if layer != BASE_LAYER]),
    "ExitMessage": _trade(SignalKind.EXIT, [*LAYERS, ALL]),
    "EodMonitorMessage": _scout(),
    "MarketDataMessage": _bar(),
}

SCHEMAS: dict[str, Schema] = {
    **_MESSAGES,
    "Message": {
        "title": "Message",
        "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in _MESSAGES],
        "discriminator": {
            "propertyName": "type",
            "mapping": {schema["title"]: f"#/components/schemas/{name}" for name, schema in _MESSAGES.items()},
        },
    },
}
"""Components by name; `Message` is the union."""
