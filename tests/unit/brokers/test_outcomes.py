"""Every line of the table of outcomes, without a socket."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

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
from ratchet.brokers.openalgo.outcomes import OUTCOMES, TEXT_LIMIT, Seen, line_of, outcome_of, usable, word_for
from ratchet.domain.identity import BrokerOrderId

OK = {"status": "success", "orderid": "26112300001"}
MODULE = {"status": "error", "message": "Broker-specific module not found"}


def seen(status: int | None, body: Mapping[str, object] | None = None, **more: object) -> Seen:
    return Seen(status=status, body=body, **more)  # type: ignore[arg-type]


UNANSWERED = [
    seen(None, cause="reset"),
    *[seen(status, {"message": "upstream"}) for status in (408, 499, 502, 503, 504, 524)],
    seen(504),
]
ANSWERED = [
    seen(500, {"status": "error", "message": "Failed to place order due to internal error"}),
    seen(500),
    seen(501, {"message": "not implemented"}),
    seen(200),
    seen(200, {"status": "error", "message": "no"}),
    seen(200, {"orderid": "26112300001"}),
    seen(200, {"status": "success", "message": "and nothing else"}),
    seen(200, {"status": "success", "orderid": ["26112300001"]}),
    seen(200, {"status": "success", "orderid": True}),
    seen(201, OK),
    seen(302),
    seen(404),
    seen(413),
]


@pytest.mark.parametrize("case", UNANSWERED, ids=str)
def test_what_no_openalgo_answered_may_still_be_under_way(case: Seen) -> None:
    outcome = outcome_of(case, "live")
    assert isinstance(outcome, Ambiguous) and not outcome.answered


@pytest.mark.parametrize("case", ANSWERED, ids=str)
def test_an_answer_that_proves_nothing_is_ambiguous_but_over(case: Seen) -> None:
    outcome = outcome_of(case, "live")
    assert isinstance(outcome, Ambiguous) and outcome.answered
    assert not outcome.null_order_id and not outcome.misconfigured


@pytest.mark.parametrize("order_id", [None, "", "  ", "None", "none", "null"])
def test_a_success_with_an_empty_order_id_is_probably_a_refusal(order_id: str | None) -> None:
    outcome = outcome_of(seen(200, {"status": "success", "orderid": order_id}), "live")
    assert outcome == Ambiguous(answered=True, null_order_id=True, cause="HTTP 200 without an order id")


@pytest.mark.parametrize("order_id", ["26112300001", 26112300001, " 26112300001 "])
def test_a_success_with_an_order_id_is_accepted(order_id: str | int) -> None:
    assert outcome_of(seen(200, {"status": "success", "orderid": order_id}), "live") == Accepted(
        BrokerOrderId("26112300001")
    )


@pytest.mark.parametrize(
    ("configured", "named"), [("live", "analyze"), ("analyze", None), ("live", "semi_auto"), ("analyze", "semi_auto")]
)
def test_an_order_in_another_mode_is_misconfigured_and_its_id_is_told(configured: str, named: str | None) -> None:
    body = OK if named is None else {**OK, "mode": named}
    outcome = outcome_of(seen(200, body), configured)
    assert isinstance(outcome, Ambiguous) and outcome.answered and outcome.misconfigured and not outcome.null_order_id
    assert "26112300001" in outcome.cause and (named or "live") in outcome.cause


def test_an_order_kept_back_for_approval_is_no_null_order_id() -> None:
    body = {"status": "success", "message": "queued", "mode": "semi_auto", "pending_order_id": 1}
    outcome = outcome_of(seen(200, body), "live")
    assert isinstance(outcome, Ambiguous) and outcome.misconfigured and not outcome.null_order_id


def test_an_order_in_the_sandbox_is_accepted_where_that_is_configured() -> None:
    assert isinstance(outcome_of(seen(200, {**OK, "mode": "analyze"}), "analyze"), Accepted)


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        (seen(429, {"message": "10 per 1 second"}), RefusalKind.RATE_LIMITED),
        (seen(429), RefusalKind.RATE_LIMITED),
        (seen(403, {"status": "error", "message": "Invalid openalgo apikey"}), RefusalKind.SESSION_GONE),
        (seen(403), RefusalKind.SESSION_GONE),
        (seen(400, {"status": "error", "message": {"quantity": ["must be positive"]}}), RefusalKind.BROKER),
        (seen(400), RefusalKind.BROKER),
        (seen(404, MODULE), RefusalKind.BROKER),
        (seen(422, {"message": "margin"}), RefusalKind.BROKER),
    ],
    ids=str,
)
def test_a_refusal_is_definite(case: Seen, kind: RefusalKind) -> None:
    outcome = outcome_of(case, "live")
    assert isinstance(outcome, Refused) and outcome.kind is kind


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("{'quantity': ['No']}", "HTTP 400: {'quantity': ['No']}"),
        ({"quantity": ["No", "Nor"]}, "HTTP 400: quantity: No, Nor"),
        ("two\nlines", "HTTP 400: two lines"),
        (None, "HTTP 400: no explanation"),
    ],
)
def test_a_refusal_keeps_the_brokers_words(message: object, text: str) -> None:
    assert outcome_of(seen(400, {"status": "error", "message": message}), "live") == Refused(RefusalKind.BROKER, text)


def test_no_connection_means_not_sent() -> None:
    assert outcome_of(seen(None, connected=False, cause="refused"), "live") == NotSent("refused")


def test_every_line_of_the_table_has_a_case() -> None:
    cases = [
        *UNANSWERED,
        *ANSWERED,
        seen(None, connected=False),
        seen(429),
        seen(403),
        seen(400),
        seen(200, OK),
        seen(200, {**OK, "mode": "analyze"}),
        seen(200, {"status": "success", "orderid": None}),
    ]
    assert {line_of(case, "live").name for case in cases} == {line.name for line in OUTCOMES}


def test_the_api_key_is_masked_in_every_text() -> None:
    refusal = outcome_of(seen(400, {"message": "key abc123 is bad"}, secret="abc123"), "live")
    broken = outcome_of(seen(None, cause="while sending abc123", secret="abc123"), "live")
    assert refusal == Refused(RefusalKind.BROKER, "HTTP 400: key *** is bad")
    assert broken == Ambiguous(answered=False, cause="while sending ***")
    assert "abc123" not in repr(seen(400, secret="abc123"))


def test_a_long_explanation_is_cut() -> None:
    outcome = outcome_of(seen(400, {"message": "x" * 5000}), "live")
    assert isinstance(outcome, Refused) and len(outcome.text) <= TEXT_LIMIT + 20


@pytest.mark.parametrize(
    ("case", "error"),
    [
        (seen(None, connected=False, cause="refused"), BrokerUnreachable),
        (seen(None, cause="time-out"), BrokerUnreachable),
        (seen(502), BrokerUnreachable),
        (seen(408), BrokerUnreachable),
        (seen(429), RateLimited),
        (seen(403, {"message": "Invalid openalgo apikey"}), SessionGone),
        (seen(403), SessionGone),
        (seen(403, {"message": "Cancel is not allowed in Semi-Auto mode"}), WrongMode),
        (seen(500, {"message": "broker down"}), BadAnswer),
        (seen(404, MODULE), BadAnswer),
        (seen(400), BadAnswer),
        (seen(200), BadAnswer),
        (seen(200, {"status": "error"}), BadAnswer),
        (seen(200, {"status": "success", "mode": "analyze"}), WrongMode),
        (seen(200, {"status": "success", "mode": "semi_auto"}), WrongMode),
    ],
    ids=str,
)
def test_a_read_without_a_usable_answer_raises(case: Seen, error: type[BrokerError]) -> None:
    with pytest.raises(error) as caught:
        usable(case, "live")
    assert type(caught.value) is error


def test_an_answer_that_never_names_its_mode_is_not_asked_for_it() -> None:
    assert usable(seen(200, {"status": "success", "data": {}}), None) == {"status": "success", "data": {}}


@pytest.mark.parametrize(
    ("result", "word"),
    [
        (Accepted(BrokerOrderId("1")), "accepted"),
        (Refused(RefusalKind.BROKER, ""), "refused"),
        (Refused(RefusalKind.RATE_LIMITED, ""), "rate_limited"),
        (Refused(RefusalKind.SESSION_GONE, ""), "session_gone"),
        (NotSent(""), "not_sent"),
        (Ambiguous(answered=True, cause=""), "ambiguous"),
        (RateLimited(), "rate_limited"),
        (SessionGone(), "session_gone"),
        (BrokerUnreachable(), "unreachable"),
        (WrongMode(), "wrong_mode"),
        (BadAnswer(), "bad_answer"),
    ],
)
def test_every_end_of_a_call_has_its_label(result: Outcome | BrokerError, word: str) -> None:
    assert word_for(result).value == word
