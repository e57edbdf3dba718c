"""The way of every API call: limit, body, schema, key, faults, handler, faults again.

The order is OpenAlgo's: calls over the limit are turned away unread, invalid ones before the key is looked at.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from starlette.requests import Request

from ratchet.brokers.simulator import answers
from ratchet.brokers.simulator.answers import Answer
from ratchet.brokers.simulator.disguise import delay, disguised, prevents, semi_auto_answer
from ratchet.brokers.simulator.faults import ON_ORDERS, ORDER_CALLS, Fault
from ratchet.brokers.simulator.schemas import Schema, Values, check
from ratchet.brokers.simulator.settings import Mode
from ratchet.brokers.simulator.simulator import Simulator
from ratchet.brokers.simulator.store import OrderCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One checked request, as handlers get it."""

    simulator: Simulator
    account: str
    values: Values
    now: datetime
    faults: tuple[Fault, ...]

    def text(self, name: str) -> str:
        """Return a text field."""
        return str(self.values[name])

    def number(self, name: str) -> Decimal:
        """Return a number field."""
        value = self.values[name]
        return value if isinstance(value, Decimal) else Decimal(str(value))

    @property
    def live(self) -> bool:
        """Tell whether live shapes and rules apply."""
        return self.simulator.mode is Mode.LIVE

    def success(self, **fields: object) -> Answer:
        """Return a success of an order or account call: the sandbox says that it is one."""
        return answers.success(**fields) if self.live else answers.success(**fields, mode=Mode.ANALYZE.value)

    def error(self, status: int, message: str, **fields: object) -> Answer:
        """Return an error of an order or account call."""
        body = answers.error(status, message).body | fields
        return Answer(status=status, body=body if self.live else body | {"mode": Mode.ANALYZE.value})


class ErrorStyle(StrEnum):
    """How an endpoint words schema errors."""

    TEXT = "text"
    TEXT_WITHOUT_MODE = "text, never with the mode"
    OBJECT = "object"
    BESIDE = "beside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One POST endpoint."""

    schema: Schema
    style: ErrorStyle
    handler: Callable[[Call], Answer]
    checks_key: bool = True


async def serve(simulator: Simulator, name: str, endpoint: Endpoint, request: Request) -> Answer:
    """Answer one call. Raises CutConnectionError if the connection is to be closed without an answer."""
    raw = await request.body()
    now = simulator.now()
    body, unreadable = _body(raw, request.headers.get("content-type", ""))
    account = simulator.account_of(str(body.get("apikey"))) if body else None
    peer = request.client.host if request.client else ""
    limited = _limited(simulator, name, account or "", peer)
    if name in ORDER_CALLS:
        call = OrderCall(account=account or "", endpoint=name, at=now, limited=limited is not None)
        simulator.store.note(call)
    if limited is not None:
        return limited
    if unreadable is not None:
        return unreadable
    values, errors = check(endpoint.schema, body)
    if errors:
        return _schema_error(simulator, endpoint.style, errors)
    if endpoint.checks_key and (account is None or not simulator.session_alive(now)):
        return answers.forbidden()
    return await _carry_out(simulator, name, endpoint, account or "", values)


async def _carry_out(simulator: Simulator, name: str, endpoint: Endpoint, account: str, values: Values) -> Answer:
    faults = simulator.faults.take(name, account, *_target(simulator, account, values))
    seen = next((fault for fault in faults if prevents(fault)), None)
    if seen is not None:
        return await disguised(simulator, name, seen, None)
    if faults:
        await delay(simulator, faults)
    if simulator.semi_auto and name in ORDER_CALLS and (name == "placeorder" or simulator.mode is Mode.LIVE):
        return semi_auto_answer(name)
    call = Call(simulator=simulator, account=account, values=values, now=simulator.now(), faults=faults)
    answer = endpoint.handler(call)
    for fault in faults:
        if fault.booked and fault.kind not in ON_ORDERS:
            answer = await disguised(simulator, name, fault, answer)
    return answer


def _limited(simulator: Simulator, name: str, account: str, peer: str) -> Answer | None:
    settings = simulator.settings
    if not settings.rate_limits:
        return None
    limit = settings.orders_per_second if name in ORDER_CALLS else settings.others_per_second
    return None if simulator.limits.allow((account, peer, name), limit) else answers.rate_limited(limit)


def _body(raw: bytes, content_type: str) -> tuple[Mapping[str, object], Answer | None]:
    if not content_type.startswith("application/json"):
        return {}, answers.wrong_content_type()
    try:
        body = json.loads(raw, parse_float=Decimal, parse_constant=Decimal)
    except (ValueError, RecursionError):
        return {}, answers.malformed()
    return (body, None) if isinstance(body, dict) else ({}, answers.not_an_object())


def _schema_error(simulator: Simulator, style: ErrorStyle, errors: dict[str, list[str]]) -> Answer:
    match style:
        case ErrorStyle.OBJECT:
            return answers.errors_as_object(errors)
        case ErrorStyle.BESIDE:
            return answers.errors_beside(errors)
        case ErrorStyle.TEXT | ErrorStyle.TEXT_WITHOUT_MODE:
            answer = answers.errors_as_text(errors)
            if simulator.mode is Mode.ANALYZE and style is ErrorStyle.TEXT:
                answer.body["mode"] = Mode.ANALYZE.value
            return answer


def _target(simulator: Simulator, account: str, values: Values) -> tuple[str | None, str | None]:
    order_id = values.get("orderid")
    if isinstance(order_id, str):
        order = simulator.book.order(account, order_id)
        return (order.symbol, order.side.value) if order is not None else (None, None)
    symbol, side = values.get("symbol"), values.get("action")
    return symbol if isinstance(symbol, str) else None, side.upper() if isinstance(side, str) else None
