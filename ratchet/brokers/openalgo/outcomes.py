"""What an answer of OpenAlgo, or its absence, proves. One table for orders, one for every other call.

Both are read from the top; the first line that fits decides. A line may only say that no order exists if that is
certain: doubt is always `Ambiguous`. Source: docs/protocol.md, section 5.

One departure: a gateway's own status (502, 504 and the like) is not an answer of OpenAlgo, which may still be talking
to the broker behind it. Such an outcome is unanswered and waits for the longer of the two bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ratchet.brokers.base import (
    Accepted,
    Ambiguous,
    BadAnswer,
    BrokerError,
    BrokerUnreachable,
    NotSent,
    Outcome,
    RateLimited,
    RefusalKind,
    Refused,
    SessionGone,
    WrongMode,
)
from ratchet.domain.identity import BrokerOrderId

LIVE = "live"
QUEUED = "semi_auto"
"""The mode that OpenAlgo names when it keeps orders back until a person approves them."""

TEXT_LIMIT = 300
"""Longest text of a refusal or cause, in characters; the rest is cut off."""

_NO_ID = frozenset({"", "none", "null"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of one call.

    status: HTTP status, or None if no whole answer was read. body: the answer, if it was a JSON object.
    connected: a connection was in hand, so bytes of the request may have gone out. cause: what went wrong, if anything.
    secret: masked wherever a text is made of the answer.
    """

    status: int | None = None
    body: Mapping[str, object] | None = None
    connected: bool = True
    cause: str = ""
    secret: str = field(default="", repr=False)

    @property
    def mode(self) -> str:
        """The mode that the answer names; OpenAlgo names none when it is live."""
        named = self.body.get("mode") if self.body is not None else None
        return LIVE if named is None else str(named)

    @property
    def success(self) -> bool:
        """Whether it is a readable 200 that calls itself a success."""
        return self.status == 200 and self.body is not None and self.body.get("status") == "success"

    @property
    def words(self) -> str:
        """The server's explanation in one line, or nothing."""
        if self.body is None:
            return ""
        said = (flattened(self.body.get(name)) for name in ("message", "errors", "error"))
        return self._masked("; ".join(part for part in said if part))

    @property
    def summary(self) -> str:
        """One line for a log or an incident."""
        what = self._masked(self.cause) or self.words or ("no readable body" if self.body is None else "no explanation")
        return what if self.status is None else f"HTTP {self.status}: {what}"

    @property
    def order_id(self) -> BrokerOrderId | None:
        """The order's id, if the answer has one."""
        value = self.body.get("orderid") if self.body is not None else None
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return BrokerOrderId(str(value))
        if isinstance(value, str) and value.strip().lower() not in _NO_ID:
            return BrokerOrderId(value.strip())
        return None

    @property
    def null_order_id(self) -> bool:
        """Whether the answer has the field for an order's id with nothing in it."""
        if self.body is None or "orderid" not in self.body:
            return False
        value = self.body["orderid"]
        return value is None or (isinstance(value, str) and value.strip().lower() in _NO_ID)

    def _masked(self, text: str) -> str:
        shown = text.replace(self.secret, "***") if self.secret else text
        return shown[:TEXT_LIMIT]


def flattened(value: object) -> str:
    """Return a message as one line, whether the server sent a text or an object of lists."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {flattened(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(flattened(part) for part in value)
    return " ".join(str(value).split())


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table of orders. mode: the configured mode (live, analyze)."""

    name: str
    fits: Callable[[Seen, str], bool]
    outcome: Callable[[Seen], Outcome]


OUTCOMES: tuple[Line, ...] = (
    Line(
        "no connection was had: nothing was written",
        lambda seen, mode: seen.status is None and not seen.connected,
        lambda seen: NotSent(seen.summary),
    ),
    Line(
        "time-out, reset or cut after a byte may have gone out",
        lambda seen, mode: seen.status is None,
        lambda seen: Ambiguous(answered=False, cause=seen.summary),
    ),
    Line(
        "a gateway gave up waiting for OpenAlgo",
        lambda seen, mode: by_gateway(seen.status),
        lambda seen: Ambiguous(answered=False, cause=seen.summary),
    ),
    Line(
        "429",
        lambda seen, mode: seen.status == 429,
        lambda seen: Refused(RefusalKind.RATE_LIMITED, seen.summary),
    ),
    Line(
        "403: the key is bad or the broker's login has ended",
        lambda seen, mode: seen.status == 403,
        lambda seen: Refused(RefusalKind.SESSION_GONE, seen.summary),
    ),
    Line(
        "400, or another 4xx that says why",
        lambda seen, mode: seen.status == 400 or (by_client(seen.status) and seen.words != ""),
        lambda seen: Refused(RefusalKind.BROKER, seen.summary),
    ),
    Line(
        "200 in another mode, or kept back for approval",
        lambda seen, mode: seen.success and seen.mode != mode,
        lambda seen: Ambiguous(
            answered=True, misconfigured=True, cause=f"answered in mode {seen.mode}, order id {seen.order_id}"
        ),
    ),
    Line(
        "200 with an order id",
        lambda seen, mode: seen.success and seen.order_id is not None,
        lambda seen: Accepted(BrokerOrderId(str(seen.order_id))),
    ),
    Line(
        "200 with an empty order id: most plugins mean a refusal",
        lambda seen, mode: seen.success and seen.null_order_id,
        lambda seen: Ambiguous(answered=True, null_order_id=True, cause="HTTP 200 without an order id"),
    ),
    Line(
        "anything else: 500, an unreadable body, a status that nobody foresaw",
        lambda seen, mode: True,
        lambda seen: Ambiguous(answered=True, cause=seen.summary),
    ),
)


def line_of(seen: Seen, mode: str) -> Line:
    """Return the line of the table that fits."""
    return next(line for line in OUTCOMES if line.fits(seen, mode))


def outcome_of(seen: Seen, mode: str) -> Outcome:
    """Return what is proven about the order of this call."""
    return line_of(seen, mode).outcome(seen)


def usable(seen: Seen, mode: str | None) -> Mapping[str, object]:
    """Return the body of a successful answer to a read, a modify or a cancel.

    mode: the configured one, or None for calls whose answers never name one. Raises the BrokerError that fits.
    """
    if seen.success and seen.body is not None and mode in (None, seen.mode):
        return seen.body
    raise _error_of(seen, mode)


class Word(StrEnum):
    """How a call ended, as a label of metrics."""

    OK = "ok"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    SESSION_GONE = "session_gone"
    NOT_SENT = "not_sent"
    AMBIGUOUS = "ambiguous"
    UNREACHABLE = "unreachable"
    BAD_ANSWER = "bad_answer"
    WRONG_MODE = "wrong_mode"
    CANCELLED = "cancelled"


def word_for(result: Outcome | BrokerError) -> Word:
    """Return the label of an outcome or an error."""
    match result:
        case Accepted():
            return Word.ACCEPTED
        case Refused(kind=RefusalKind.RATE_LIMITED) | RateLimited():
            return Word.RATE_LIMITED
        case Refused(kind=RefusalKind.SESSION_GONE) | SessionGone():
            return Word.SESSION_GONE
        case Refused():
            return Word.REFUSED
        case NotSent():
            return Word.NOT_SENT
        case Ambiguous():
            return Word.AMBIGUOUS
        case BrokerUnreachable():
            return Word.UNREACHABLE
        case WrongMode():
            return Word.WRONG_MODE
        case _:
            return Word.BAD_ANSWER


def by_gateway(status: int | None) -> bool:
    """Whether a status is one that proxies make up; OpenAlgo itself answers no 5xx but 500 and 501."""
    return status in (408, 499) or (status is not None and status >= 502)


def by_client(status: int | None) -> bool:
    """Whether a status is 4xx."""
    return status is not None and 400 <= status < 500


def _error_of(seen: Seen, mode: str | None) -> BrokerError:
    if seen.status is None or by_gateway(seen.status):
        return BrokerUnreachable(seen.summary)
    if seen.status == 429:
        return RateLimited(seen.summary)
    if seen.status == 403:
        # modify and cancel answer 403 while orders are kept back for approval
        held = "semi" in seen.words.lower() or seen.mode == QUEUED
        return WrongMode(seen.summary) if held else SessionGone(seen.summary)
    if seen.success:
        return WrongMode(f"answered in mode {seen.mode}, configured is {mode}")
    return BadAnswer(seen.summary)
