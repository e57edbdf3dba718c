"""The messages of the charts: bytes in, a valid `Signal` out, or the first field that breaks a rule.

Source: docs/domain.md, section 2. The rules are tried in their order, V01 to V21, so that one message always names one
field. Fields that no rule knows are kept in the payload (V22).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ratchet.domain.numbers import ZERO
from ratchet.domain.signals import ALL, BASE_LAYER, LAYERS, TRADE_KINDS, Signal, SignalKind
from ratchet.domain.webhook_body import MAX_BYTES, Body, InvalidSignal, TooLarge, read_body
from ratchet.domain.webhook_fields import (
    INSTRUMENTS,
    boolean,
    mapping,
    need,
    number,
    optional_number,
    timestamp,
    whole,
    word,
)

__all__ = ["Body", "InvalidSignal", "Parsed", "TooLarge", "parse", "read_body", "signal_of"]

CONDITIONS = (
    "rsi_condition",
    "ema_condition",
    "dc_condition",
    "adx_condition",
    "er_condition",
    "st_condition",
    "not_doji",
    "long_entry",
    "long_exit",
)
INDICATORS = ("rsi", "ema", "dc_upper", "adx", "er", "supertrend", "atr")
MAX_REASON = 200
MOST_PYRAMIDS = 5

_ENTRY = ("price", "stop", "lots", "atr", "er", "supertrend")
_NUMBERS: Mapping[SignalKind, tuple[str, ...]] = {
    SignalKind.BASE_ENTRY: _ENTRY,
    SignalKind.PYRAMID: _ENTRY,
    SignalKind.EXIT: _ENTRY,
    SignalKind.EOD_MONITOR: ("price",),
    SignalKind.MARKET_DATA: ("price", "atr", "supertrend"),
}
_OTHERS: Mapping[SignalKind, tuple[str, ...]] = {
    SignalKind.BASE_ENTRY: (),
    SignalKind.PYRAMID: (),
    SignalKind.EXIT: ("reason",),
    SignalKind.EOD_MONITOR: ("conditions", "indicators"),
    SignalKind.MARKET_DATA: (),
}
_POSITIONS: Mapping[SignalKind, frozenset[str]] = {
    SignalKind.BASE_ENTRY: frozenset({BASE_LAYER}),
    SignalKind.PYRAMID: frozenset(LAYERS) - {BASE_LAYER},
    SignalKind.EXIT: frozenset({*LAYERS, ALL}),
}
_KINDS: Mapping[str, SignalKind] = {str(kind): kind for kind in SignalKind}
_KIND_NAMES = frozenset(_KINDS)
_ANY_POSITION = (*LAYERS, ALL)
_HEADS: Mapping[SignalKind, tuple[str, ...]] = {
    kind: ("type", "instrument", *(("position",) if kind in TRADE_KINDS else ()), "timestamp") for kind in SignalKind
}
_REQUIRED: Mapping[SignalKind, tuple[str, ...]] = {
    kind: (*(("position",) if kind in TRADE_KINDS else ()), *_NUMBERS[kind], *_OTHERS[kind]) for kind in SignalKind
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A valid message. token: the secret that it carried in its body, kept out of the signal and of the hash."""

    signal: Signal
    token: str | None
    payload_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What every message says about itself."""

    kind: SignalKind
    instrument: str
    timestamp: datetime
    position: str | None


def parse(body: bytes, limit: int = MAX_BYTES) -> Parsed:
    """Return the signal of a message. Raises TooLarge (more than `limit` bytes) and InvalidSignal."""
    read = read_body(body, limit)
    return Parsed(signal=signal_of(read), token=read.token, payload_hash=read.payload_hash)


def signal_of(body: Body) -> Signal:
    """Return the signal of a body that was read: V02 to V21. Raises InvalidSignal."""
    head = _head(body.fields)
    numbers = {name: number(body.fields[name], name) for name in _NUMBERS[head.kind]}
    if head.kind in TRADE_KINDS:
        return _trade(head, numbers, body)
    if head.kind is SignalKind.EOD_MONITOR:
        return _scout(head, numbers["price"], body)
    return _bar(head, numbers, body)


def _head(fields: Mapping[str, Any]) -> _Head:
    """V02 to V07. A missing or null field breaks V07 alone, so the earlier rules see only what is there."""
    kind = instrument = at = position = None
    if fields.get("type") is not None:
        kind = _KINDS[word(fields["type"], _KIND_NAMES, "type", "V02")]
    if fields.get("instrument") is not None:
        instrument = word(fields["instrument"], INSTRUMENTS, "instrument", "V03")
    if fields.get("timestamp") is not None:
        at = timestamp(fields["timestamp"])
    if kind in TRADE_KINDS and fields.get("position") is not None:
        position = _position(kind, fields["position"])
    if kind is None or instrument is None or at is None:
        raise _missing(fields, _HEADS[kind] if kind is not None else ("type", "instrument", "timestamp"))
    for name in _REQUIRED[kind]:
        if fields.get(name) is None:
            raise _missing(fields, _REQUIRED[kind])
    return _Head(kind=kind, instrument=instrument, timestamp=at, position=position)


def _missing(fields: Mapping[str, Any], required: tuple[str, ...]) -> InvalidSignal:
    name = next(name for name in required if fields.get(name) is None)
    return InvalidSignal(name, "V07", "is required and must not be null")


def _position(kind: SignalKind, value: Any) -> str:
    if not isinstance(value, str) or value not in _ANY_POSITION:
        raise InvalidSignal("position", "V05", f"must be one of {', '.join(_ANY_POSITION)}")
    if value not in _POSITIONS[kind]:
        raise InvalidSignal("position", "V06", f"{value} does not fit {kind}")
    return value


def _trade(head: _Head, numbers: Mapping[str, Decimal], body: Body) -> Signal:
    """V09 to V16. The numbers of an exit are looser: it must get through."""
    price, stop, atr, er = numbers["price"], numbers["stop"], numbers["atr"], numbers["er"]
    supertrend = numbers["supertrend"]
    exits = head.kind is SignalKind.EXIT
    need(price > ZERO, "price", "V09", "must be above 0")
    if exits:
        need(stop >= ZERO, "stop", "V10", "must be 0 or more")
    else:
        need(ZERO < stop < price, "stop", "V10", "must lie above 0 and below the price")
    lots = whole(numbers["lots"], "lots", "V11")
    need(lots >= 0, "lots", "V11", "must be 0 or more")
    need(atr > ZERO or (exits and atr == ZERO), "atr", "V12", "must be 0 or more" if exits else "must be above 0")
    need(exits or ZERO <= er <= 1, "er", "V13", "must lie from 0 to 1")
    need(
        supertrend > ZERO or (exits and supertrend == ZERO),
        "supertrend",
        "V14",
        "must be 0 or more" if exits else "must be above 0",
    )
    return Signal(
        kind=head.kind,
        instrument=head.instrument,
        position=head.position,
        timestamp=head.timestamp,
        price=price,
        atr=atr,
        stop=stop,
        er=er,
        supertrend=supertrend,
        lots=lots,
        roc=optional_number(body.fields, "roc", "V15"),
        entry_price=optional_number(body.fields, "entry_price", "V15") if exits else None,
        reason=_reason(body.fields["reason"]) if exits else None,
        payload=body.payload,
    )


def _reason(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_REASON:
        raise InvalidSignal("reason", "V16", f"must be text, not blank, of at most {MAX_REASON} characters")
    return value


def _scout(head: _Head, price: Decimal, body: Body) -> Signal:
    """V09 and V17 to V20."""
    need(price > ZERO, "price", "V09", "must be above 0")
    raw = mapping(body.fields["conditions"], "conditions", "V17")
    conditions = {name: boolean(raw, name, "V17", "conditions.") for name in CONDITIONS}
    indicators = _indicators(mapping(body.fields["indicators"], "indicators", "V18"))
    _hints(body.fields)
    return Signal(
        kind=head.kind,
        instrument=head.instrument,
        position=None,
        timestamp=head.timestamp,
        price=price,
        atr=indicators["atr"],
        er=indicators["er"],
        supertrend=indicators["supertrend"],
        roc=indicators.get("roc"),
        conditions=conditions,
        indicators=indicators,
        payload=body.payload,
    )


def _indicators(raw: Mapping[str, Any]) -> dict[str, Decimal]:
    found = {name: number(raw.get(name), f"indicators.{name}", "V18") for name in INDICATORS}
    for name in ("atr", "supertrend"):
        need(found[name] > ZERO, f"indicators.{name}", "V18", "must be above 0")
    for name, most in (("er", 1), ("rsi", 100)):
        need(ZERO <= found[name] <= most, f"indicators.{name}", "V18", f"must lie from 0 to {most}")
    roc = optional_number(raw, "roc", "V18", "indicators.")
    return found if roc is None else {**found, "roc": roc}


def _hints(fields: Mapping[str, Any]) -> None:
    """Check what old scripts add. It is never used: the executor's own state decides."""
    if fields.get("position_status") is not None:
        status = mapping(fields["position_status"], "position_status", "V19")
        boolean(status, "in_position", "V19", "position_status.")
        name = "position_status.pyramid_count"
        count = optional_number(status, "pyramid_count", "V19", "position_status.")
        if count is not None:
            need(0 <= whole(count, name, "V19") <= MOST_PYRAMIDS, name, "V19", f"must lie from 0 to {MOST_PYRAMIDS}")
    if fields.get("sizing") is not None:
        mapping(fields["sizing"], "sizing", "V20")


def _bar(head: _Head, numbers: Mapping[str, Decimal], body: Body) -> Signal:
    """V21."""
    for name, value in numbers.items():
        need(value > ZERO, name, "V21", "must be above 0")
    return Signal(
        kind=head.kind,
        instrument=head.instrument,
        position=None,
        timestamp=head.timestamp,
        price=numbers["price"],
        atr=numbers["atr"],
        supertrend=numbers["supertrend"],
        payload=body.payload,
    )
