"""Reading and showing fault rules and the chaos."""

import random
from decimal import Decimal

from ratchet.brokers.simulator.answers import Body
from ratchet.brokers.simulator.faults import (
    ANY_CALL,
    APPLIES,
    BOOKED_BY_DEFAULT,
    EITHER_WAY,
    PLACE,
    Chaos,
    Fault,
    FaultKind,
    Match,
    Rule,
    suits,
)
from ratchet.brokers.simulator.routes.requests import BadRequestError, Fields
from ratchet.brokers.simulator.routes.table import ENDPOINTS

_RESTS = ("after", "never")


def rule_from(value: object) -> Rule:
    """Return the rule that an object describes. Raises BadRequestError."""
    fields = Fields(value, "fault")
    kind = _kind(fields.text("fault"))
    endpoint = fields.text("endpoint", _usual_endpoint(kind))
    if endpoint != ANY_CALL and endpoint not in ENDPOINTS:
        raise BadRequestError(f"endpoint: there is no {endpoint}")
    if not suits(kind, endpoint):
        raise BadRequestError(f"endpoint: {kind.value} is only for {', '.join(sorted(APPLIES[kind]))}")
    times = _times(fields)
    rule = Rule(
        endpoint=endpoint,
        fault=_fault(kind, fields),
        match=_match(fields.given("match")),
        left=times,
        probability=float(_share(fields, "probability", Decimal(1))),
        chance=random.Random(int(fields.optional_number("seed") or 0)),
    )
    fields.done()
    return rule


def _times(fields: Fields) -> int | None:
    times, count = fields.optional_number("times"), fields.optional_number("count")
    given = count if times is None else times
    if fields.flag("unlimited", default=False):
        return None
    if given is None:
        return 1
    if given < 1:
        raise BadRequestError("times: must be at least 1; unlimited: true has no end")
    return int(given)


def _usual_endpoint(kind: FaultKind) -> str:
    return PLACE if kind not in APPLIES or PLACE in APPLIES[kind] else ANY_CALL


def _kind(word: str) -> FaultKind:
    try:
        return FaultKind(word)
    except ValueError:
        raise BadRequestError(f"fault: must be one of {', '.join(FaultKind)}") from None


def _fault(kind: FaultKind, fields: Fields) -> Fault:
    booked = fields.flag("booked", default=kind in BOOKED_BY_DEFAULT)
    if booked != (kind in BOOKED_BY_DEFAULT) and kind not in EITHER_WAY:
        raise BadRequestError(f"booked: {kind.value} is always {'' if kind in BOOKED_BY_DEFAULT else 'not '}booked")
    rest = fields.text("rest", "never")
    if rest not in _RESTS:
        raise BadRequestError("rest: must be after or never")
    seconds = fields.optional_number("seconds")
    status = fields.optional_number("status")
    return Fault(
        kind=kind,
        booked=booked,
        seconds=1.0 if seconds is None else float(seconds),
        text=fields.text("text", ""),
        status=400 if status is None else int(status),
        fraction=_share(fields, "fraction", Decimal("0.5")),
        rest_follows=rest == "after",
    )


def _share(fields: Fields, name: str, default: Decimal) -> Decimal:
    value = fields.optional_number(name)
    if value is None:
        return default
    if not 0 <= value <= 1:
        raise BadRequestError(f"{name}: must be from 0 to 1")
    return value


def _match(value: object) -> Match:
    if value is None:
        return Match()
    fields = Fields(value, "match")
    side = fields.optional_text("side")
    match = Match(
        symbol=fields.optional_text("symbol"),
        side=side.upper() if side is not None else None,
        account=fields.optional_text("account"),
    )
    fields.done()
    return match


def chaos_from(value: object) -> Chaos:
    """Return the chaos that an object describes. Raises BadRequestError."""
    fields = Fields(value, "chaos")
    given = fields.given("rates")
    rates = Fields(given, "rates")
    names = list(given) if isinstance(given, dict) else []
    endpoints = fields.rows("endpoints")
    hang = fields.optional_number("max_hang_seconds")
    chaos = Chaos(
        seed=int(fields.number("seed")),
        rates={_kind(name): float(_share(rates, name, Decimal(0))) for name in names},
        max_hang_seconds=1.0 if hang is None else float(hang),
        endpoints=frozenset(str(name) for name in endpoints) if endpoints else None,
    )
    fields.done()
    return chaos


def rule_shown(rule: Rule) -> Body:
    """Return a rule as the admin endpoints show it."""
    fault = rule.fault
    return {
        "endpoint": rule.endpoint,
        "fault": fault.kind.value,
        "left": rule.left,
        "probability": rule.probability,
        "booked": fault.booked,
        "seconds": fault.seconds,
        "match": {"symbol": rule.match.symbol, "side": rule.match.side, "account": rule.match.account},
    }


def chaos_shown(chaos: Chaos | None) -> Body | None:
    """Return the chaos as the admin endpoints show it."""
    if chaos is None:
        return None
    rates = {kind.value: rate for kind, rate in chaos.rates.items()}
    return {"seed": chaos.seed, "rates": rates, "max_hang_seconds": chaos.max_hang_seconds}
