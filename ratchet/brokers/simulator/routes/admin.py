"""The `/admin` endpoints: what a test, an auditor or a person at a demonstration does to the simulator.

They know what no client may: which `strategy` made which order. They ask for no key, so they belong on loopback.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal

from starlette.requests import Request

from ratchet.brokers.simulator import schemas
from ratchet.brokers.simulator.answers import Answer, Body
from ratchet.brokers.simulator.contracts import BY_NAME
from ratchet.brokers.simulator.matching import Fill
from ratchet.brokers.simulator.orders import Order
from ratchet.brokers.simulator.routes.fault_requests import chaos_from, chaos_shown, rule_from, rule_shown
from ratchet.brokers.simulator.routes.orders import new_order
from ratchet.brokers.simulator.routes.pipeline import Call
from ratchet.brokers.simulator.routes.requests import BadRequestError, Fields, parsed
from ratchet.brokers.simulator.sessions import ExplicitSession, Sessions
from ratchet.brokers.simulator.settings import Mode, SessionRule
from ratchet.brokers.simulator.simulator import Simulator

Handler = Callable[[Simulator, Request, datetime], Awaitable[Body]]


async def serve_admin(simulator: Simulator, request: Request) -> Answer | None:
    """Answer an admin call, None if there is no such endpoint."""
    handler = HANDLERS.get((request.method, request.path_params["path"].rstrip("/")))
    if handler is None:
        return None
    try:
        body = await handler(simulator, request, simulator.now())
    except BadRequestError as refused:
        return Answer(status=400, body={"error": str(refused)})
    return Answer(status=200, body=body)


async def book(simulator: Simulator, request: Request, now: datetime) -> Body:
    """Show every account's orders, positions and order calls, or one account's (`?account=`; empty: the default)."""
    asked = request.query_params.get("account")
    accounts = simulator.book.accounts() if asked is None else [asked]
    orders = [_order(order) for account in accounts for order in simulator.book.orders(account)]
    positions = [
        {
            "account": account,
            "symbol": key.symbol,
            "exchange": key.exchange,
            "product": key.product,
            "quantity": int(position.quantity),
        }
        for account in accounts
        for key, position in simulator.book.positions(account, now).items()
    ]
    calls = [
        {"account": call.account, "endpoint": call.endpoint, "at": call.at.isoformat(), "limited": call.limited}
        for call in simulator.store.calls()
        if asked is None or call.account == asked
    ]
    return {"orders": orders, "positions": positions, "calls": calls}


def _order(order: Order) -> Body:
    return {
        "order_id": order.order_id,
        "account": order.account,
        "intent_ghost": order.ghost,
        "origin": order.origin,
        "symbol": order.symbol,
        "exchange": order.exchange,
        "product": order.product,
        "side": order.side.value,
        "price_type": order.price_type.value,
        "price": str(order.price),
        "quantity": int(order.quantity),
        "filled": int(order.filled),
        "average_price": str(order.average_price),
        "status": order.status.value,
        "reason": order.reason,
        "placed_at": order.placed_at.isoformat(),
        "updated_at": order.updated_at.isoformat(),
    }


async def set_quotes(simulator: Simulator, request: Request, now: datetime) -> Body:
    """Set the price of an underlying or of one symbol; resting orders that it crosses fill."""
    fields = await _fields(request)
    ltp = _price(fields, "ltp")
    bid = _price(fields, "bid") if fields.given("bid") is not None else None
    ask = _price(fields, "ask") if fields.given("ask") is not None else None
    name = fields.optional_text("underlying")
    if name is not None:
        fields.done()
        underlying = BY_NAME.get(name.upper())
        if underlying is None:
            raise BadRequestError(f"underlying: must be one of {', '.join(sorted(BY_NAME))}")
        simulator.quotes.set_underlying(underlying, ltp, bid, ask)
    else:
        instrument = simulator.master.find(fields.text("exchange"), fields.text("symbol"))
        fields.done()
        if instrument is None:
            raise BadRequestError("symbol: is not listed on this exchange")
        underlying = instrument.underlying
        simulator.quotes.set_symbol(instrument, ltp, bid, ask)
    simulator.reprice(underlying, now)
    return {"quotes": _quotes(simulator)}


def _price(fields: Fields, name: str) -> Decimal:
    price = fields.number(name)
    if price <= 0:
        raise BadRequestError(f"{name}: must be above zero")
    return price


def _quotes(simulator: Simulator) -> Body:
    rows = simulator.quotes.shown().items()
    return {name: {"ltp": str(row.ltp), "bid": str(row.bid), "ask": str(row.ask)} for name, row in rows}


async def add_faults(simulator: Simulator, request: Request, now: datetime) -> Body:
    """Add fault rules: a list, one rule, or an object with `faults` and `chaos`. All are read before any is added."""
    value = parsed(await request.body())
    chaos = None
    if isinstance(value, dict) and "fault" not in value:
        fields = Fields(value)
        given = fields.rows("faults")
        chaos = fields.given("chaos")
        fields.done()
    else:
        given = value if isinstance(value, list) else [value]
    rules = [rule_from(row) for row in given]
    if chaos is not None:
        simulator.faults.chaos = chaos_from(chaos)
    simulator.faults.rules.extend(rules)
    return _faults(simulator)


async def clear_faults(simulator: Simulator, request: Request, now: datetime) -> Body:
    """Forget all faults; what they have done to orders stays."""
    simulator.faults.clear()
    return _faults(simulator)


def _faults(simulator: Simulator) -> Body:
    script = simulator.faults
    return {
        "faults": [rule_shown(rule) for rule in script.rules],
        "chaos": chaos_shown(script.chaos),
        "fired": dict(script.fired),
    }


async def foreign_order(simulator: Simulator, request: Request, now: datetime) -> Body:
    """Book an order that a person placed by hand: same fields as placeorder, and `account`."""
    body = parsed(await request.body())
    fields = Fields(body)
    account = fields.text("account", "")
    given = {name: value for name, value in body.items() if name != "account"} if isinstance(body, dict) else {}
    given = {"product": "NRML", "strategy": ""} | given
    values, errors = schemas.check({name: row for name, row in schemas.PLACE.items() if name != "apikey"}, given)
    if errors:
        field, texts = next(iter(errors.items()))
        raise BadRequestError(f"{field}: {texts[0]}")
    if simulator.master.find(str(values["exchange"]), str(values["symbol"])) is None:
        raise BadRequestError("symbol: is not listed on this exchange")
    call = Call(simulator=simulator, account=account, values=values, now=now, faults=())
    return {"order": _order(simulator.book.place(new_order(call, origin="foreign")))}


async def fill(simulator: Simulator, request: Request, now: datetime) -> Body:
    """Fill a working order: the whole rest unless `quantity`, at its limit or the last price unless `price`."""
    fields = await _fields(request)
    order = simulator.book.order(fields.text("account", ""), fields.text("orderid"))
    if order is None or not order.status.working:
        raise BadRequestError("orderid: no working order of this account")
    quantity = fields.optional_number("quantity") or order.pending
    if not 0 < quantity <= order.pending:
        raise BadRequestError(f"quantity: must be above 0 and at most {order.pending}")
    price = fields.optional_number("price") or order.price or order.shown_price
    fields.done()
    return {"order": _order(simulator.book.fill_by_hand(order, Fill(quantity=quantity, price=price), now))}


async def set_mode(simulator: Simulator, request: Request, now: datetime) -> Body:
    """Switch between live and analyze mode, and semi-auto on or off."""
    fields = await _fields(request)
    mode = fields.text("mode", simulator.mode.value)
    semi_auto = fields.flag("semi_auto", default=simulator.semi_auto)
    fields.done()
    if mode not in list(Mode):
        raise BadRequestError("mode: must be live or analyze")
    simulator.mode = Mode(mode)
    simulator.semi_auto = semi_auto
    return _state(simulator, now)


async def set_session(simulator: Simulator, request: Request, now: datetime) -> Body:
    """End or renew the broker session."""
    fields = await _fields(request)
    alive = fields.flag("alive")
    fields.done()
    simulator.log_in(alive, now)
    return _state(simulator, now)


async def set_timings(simulator: Simulator, request: Request, now: datetime) -> Body:
    """Set the sessions: always, exchange, or explicit with `days` of {exchange, start, end, date?} in IST."""
    fields = await _fields(request)
    rule = fields.text("sessions")
    if rule not in list(SessionRule):
        raise BadRequestError(f"sessions: must be one of {', '.join(SessionRule)}")
    explicit = [_explicit(row) for row in fields.rows("days")]
    fields.done()
    simulator.sessions = Sessions(SessionRule(rule), explicit)
    return _state(simulator, now)


def _explicit(value: object) -> ExplicitSession:
    fields = Fields(value, "days")
    day = fields.optional_text("date")
    try:
        session = ExplicitSession(
            exchange=fields.text("exchange"),
            start=time.fromisoformat(fields.text("start")),
            end=time.fromisoformat(fields.text("end")),
            on=None if day is None else date.fromisoformat(day),
        )
    except ValueError as wrong:
        raise BadRequestError(f"days: {wrong}") from wrong
    fields.done()
    return session


async def state(simulator: Simulator, request: Request, now: datetime) -> Body:
    """Show what the simulator does at present."""
    return _state(simulator, now)


def _state(simulator: Simulator, now: datetime) -> Body:
    return {
        "now": now.isoformat(),
        "today": simulator.master.today.isoformat(),
        "mode": simulator.mode.value,
        "semi_auto": simulator.semi_auto,
        "sessions": simulator.sessions.rule.value,
        "session_alive": simulator.session_alive(now),
        "accounts": simulator.book.accounts(),
        "orders": sum(len(simulator.book.orders(account)) for account in simulator.book.accounts()),
        "quotes": _quotes(simulator),
        **_faults(simulator),
    }


async def _fields(request: Request) -> Fields:
    return Fields(parsed(await request.body()))


HANDLERS: Mapping[tuple[str, str], Handler] = {
    ("GET", "book"): book,
    ("POST", "quotes"): set_quotes,
    ("POST", "faults"): add_faults,
    ("DELETE", "faults"): clear_faults,
    ("POST", "foreign-order"): foreign_order,
    ("POST", "fills"): fill,
    ("POST", "mode"): set_mode,
    ("POST", "session"): set_session,
    ("POST", "timings"): set_timings,
    ("GET", "state"): state,
}
