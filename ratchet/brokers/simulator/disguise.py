"""What a client sees of a call that a fault has hit."""

from collections.abc import Iterable
from datetime import datetime

from ratchet.brokers.simulator.answers import Answer, Body, error, forbidden, queued, rate_limited, success
from ratchet.brokers.simulator.faults import BOOKED_BY_DEFAULT, DELAYS, ON_ORDERS, Fault, FaultKind
from ratchet.brokers.simulator.settings import IST, Mode
from ratchet.brokers.simulator.shapes import STAMP
from ratchet.brokers.simulator.simulator import CutConnectionError, Simulator

_GATEWAYS = {
    FaultKind.GATEWAY_502: (502, "Bad Gateway"),
    FaultKind.GATEWAY_503: (503, "Service Temporarily Unavailable"),
    FaultKind.GATEWAY_504: (504, "Gateway Time-out"),
}
_AFTER_TEXT = "Failed to place order due to internal error"
_BEFORE_TEXT = "An unexpected error occurred in the API endpoint"
_BOOK_TEXT = "HTTPSConnectionPool(host='broker', port=443): Read timed out."
_SEMI_AUTO_TEXT = "Operation not allowed in semi-auto mode"
_BROKER_FORMAT = "%d-%b-%Y %H:%M:%S"
_GARBAGE = '{"status":"succ'


async def delay(simulator: Simulator, faults: Iterable[Fault]) -> None:
    """Hang before the call is carried out. Raises CutConnectionError if the server stops meanwhile."""
    for fault in faults:
        if fault.kind in DELAYS:
            await simulator.pause(fault.seconds)


def prevents(fault: Fault) -> bool:
    """Tell whether the call is not carried out at all."""
    return not fault.booked and fault.kind not in DELAYS and fault.kind not in ON_ORDERS


async def disguised(simulator: Simulator, endpoint: str, fault: Fault, answer: Answer | None) -> Answer:
    """Return what the client gets instead of `answer` (None: the call was not carried out).

    Raises CutConnectionError if it gets nothing.
    """
    kind = fault.kind
    if kind in (FaultKind.ACCEPT_THEN_CUT, FaultKind.CUT_BEFORE):
        raise CutConnectionError
    if kind is FaultKind.ACCEPT_THEN_HANG:
        await simulator.pause(fault.seconds)
    if answer is not None and kind in BOOKED_BY_DEFAULT:
        changed = _changed(simulator, fault, answer)
        if changed is not None:
            return changed
    return _instead(simulator, endpoint, fault)


def _changed(simulator: Simulator, fault: Fault, answer: Answer) -> Answer | None:
    match fault.kind:
        case FaultKind.ACCEPT_THEN_HANG:
            return answer
        case FaultKind.WRONG_MODE:
            return Answer(status=answer.status, body=_other_mode(simulator, answer.body))
        case FaultKind.STRING_NUMBERS:
            return Answer(status=answer.status, body=_numbers_as_text(answer.body))
        case FaultKind.ODD_TIMESTAMP:
            return Answer(status=answer.status, body=_restamped(answer.body, fault.text or _BROKER_FORMAT))
        case _:
            return None


def _instead(simulator: Simulator, endpoint: str, fault: Fault) -> Answer:
    match fault.kind:
        case FaultKind.REFUSE_4XX:
            return error(fault.status, fault.text or "RMS: Margin exceeds, required 1, available 0")
        case FaultKind.RATE_LIMIT_429:
            return rate_limited(simulator.settings.orders_per_second)
        case FaultKind.SESSION_LOST:
            return forbidden()
        case FaultKind.SEMI_AUTO:
            return semi_auto_answer(endpoint)
        case FaultKind.ERROR_500_AFTER:
            return error(500, fault.text or _AFTER_TEXT)
        case FaultKind.BOOK_500:
            return error(500, fault.text or _BOOK_TEXT)
        case FaultKind.NULL_ORDERID:
            return success(orderid=None)
        case FaultKind.WRONG_MODE:
            return Answer(status=200, body=_other_mode(simulator, {"status": "success", "orderid": "1"}))
        case FaultKind.GARBAGE_BODY:
            return Answer(status=200, body={}, raw=fault.text or _GARBAGE)
        case FaultKind.GATEWAY_502 | FaultKind.GATEWAY_503 | FaultKind.GATEWAY_504:
            status, title = _GATEWAYS[fault.kind]
            page = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>"
            return Answer(status=status, body={}, raw=page)
        case _:
            return error(500, fault.text or _BEFORE_TEXT)


def semi_auto_answer(endpoint: str) -> Answer:
    """Return what semi-auto mode answers: placements are queued, changes are forbidden."""
    return queued() if endpoint == "placeorder" else error(403, _SEMI_AUTO_TEXT)


def _other_mode(simulator: Simulator, body: Body) -> Body:
    changed = {key: value for key, value in body.items() if key != "mode"}
    return changed if simulator.mode is Mode.ANALYZE else changed | {"mode": Mode.ANALYZE.value}


def _restamped(body: Body, fmt: str) -> Body:
    return {key: _restamp(key, value, fmt) for key, value in body.items()}


def _restamp(key: str, value: object, fmt: str) -> object:
    if isinstance(value, dict):
        return {name: _restamp(name, inner, fmt) for name, inner in value.items()}
    if isinstance(value, list):
        return [_restamp(key, inner, fmt) for inner in value]
    if key != "timestamp" or not isinstance(value, str) or " " not in value:
        return value
    return datetime.strptime(value, STAMP).replace(tzinfo=IST).strftime(fmt)


def _numbers_as_text(body: Body) -> Body:
    return {key: _as_text(value) for key, value in body.items()}


def _as_text(value: object) -> object:
    if isinstance(value, dict):
        return {key: _as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_text(inner) for inner in value]
    if value is None or isinstance(value, bool | str):
        return value
    return str(value)
