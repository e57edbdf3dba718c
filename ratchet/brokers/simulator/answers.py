"""What goes back over the wire, and the error envelopes that OpenAlgo uses where.

Source: docs/openalgo-api.md, section 1.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

Body = dict[str, object]
FieldErrors = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer. Decimals in the body become JSON numbers; `raw` replaces the body by text that is not JSON."""

    status: int
    body: Body
    raw: str | None = None

    def encoded(self) -> tuple[bytes, str]:
        """Return the bytes and their media type."""
        if self.raw is not None:
            return self.raw.encode(), "text/html"
        return json.dumps(self.body, default=_number, ensure_ascii=False).encode(), "application/json"


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)  # the API's prices are JSON numbers; this is the last step before the wire
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def success(**fields: object) -> Answer:
    """Return a 200 with `status: success`."""
    return Answer(status=200, body={"status": "success", **fields})


def error(status: int, message: object) -> Answer:
    """Return an error in the common envelope."""
    return Answer(status=status, body={"status": "error", "message": message})


def errors_as_text(errors: FieldErrors) -> Answer:
    """Return a schema error of the order endpoints: the dict's own text as message."""
    return error(400, str(dict(errors)))


def errors_as_object(errors: FieldErrors) -> Answer:
    """Return a schema error of the account and data endpoints: an object as message."""
    return error(400, dict(errors))


def errors_beside(errors: FieldErrors) -> Answer:
    """Return a schema error of the option endpoints: the object beside a fixed message."""
    return Answer(status=400, body={"status": "error", "message": "Validation error", "errors": dict(errors)})


def forbidden() -> Answer:
    """Return the answer to a bad key and to a lost broker session alike."""
    return error(403, "Invalid openalgo apikey")


def rate_limited(limit: int) -> Answer:
    """Return the 429: no `status` field, no Retry-After header."""
    return Answer(status=429, body={"message": f"{limit} per 1 second"})


def malformed() -> Answer:
    """Return the answer to a body that is not JSON."""
    return Answer(
        status=400,
        body={"message": "The browser (or proxy) sent a request that this server could not understand."},
    )


def wrong_content_type() -> Answer:
    """Return the answer to a body that is not declared as JSON."""
    return error(500, "An unexpected error occurred. Please try again later.")


def not_an_object() -> Answer:
    """Return the answer to a JSON body that is no object."""
    return Answer(status=500, body={"message": "Internal Server Error"})


def not_found(path: str) -> Answer:
    """Return the answer to an unknown route and to a GET on a POST route."""
    return Answer(status=404, body={"status": "error", "message": "Not found", "path": path})


def queued() -> Answer:
    """Return the semi-auto answer to a placement: no order id, and none will come."""
    return success(message="Order queued for approval in Action Center", mode="semi_auto", pending_order_id=1)
