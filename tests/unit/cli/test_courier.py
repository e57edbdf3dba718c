"""Delivering messages to services that answer, refuse, stumble or are away."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ratchet.cli.api import Api
from ratchet.cli.courier import Courier
from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed
from ratchet.cli.samples import MARKETS, base_entry
from ratchet.clock import SystemClock
from tests.servers.process import free_port
from tests.unit.cli.answering import answering

MESSAGE = base_entry(MARKETS[1], datetime(2027, 1, 11, 5, 30, tzinfo=UTC))
NEW = (202, {"id": "id-1", "status": "accepted", "duplicate": None, "request_id": "r"})
AGAIN = (200, {"id": "id-1", "status": "executed", "duplicate": "exact", "request_id": "r"})
BUSY = (503, {"title": "Not durable"})


def courier(*urls: str, patience: float = 10.0) -> Courier:
    """Return one for these services."""
    return Courier([Api(url, "secret") for url in urls], SystemClock(), strategy="trend", patience_seconds=patience)


def test_a_new_signal_is_delivered_to_its_account_with_the_token() -> None:
    with answering(NEW) as service:
        delivery = courier(service.url).deliver(MESSAGE, "load-01")
    assert (delivery.answer, delivery.id, delivery.tries) == ("new", "id-1", 1)
    method, path, authorization, body = service.asked[0]
    assert (method, path) == ("POST", "/signals?account=load-01&strategy=trend")
    assert authorization == "Bearer secret"
    assert json.loads(body) == MESSAGE.body


def test_a_duplicate_is_told_with_the_first_ones_outcome() -> None:
    with answering(AGAIN) as service:
        delivery = courier(service.url).deliver(MESSAGE, None)
    assert (delivery.answer, delivery.outcome) == ("exact", "executed")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_was_not_accepted_is_sent_again(status: int) -> None:
    with answering((status, {"title": "later"}), NEW) as service:
        delivery = courier(service.url).deliver(MESSAGE, None)
    assert (delivery.answer, delivery.tries, len(service.asked)) == ("new", 2, 2)


def test_a_service_that_is_away_is_passed_over() -> None:
    with answering(NEW) as service:
        delivery = courier(f"http://127.0.0.1:{free_port()}", service.url).deliver(MESSAGE, None)
    assert (delivery.answer, delivery.tries) == ("new", 2)


def test_a_refusal_is_final_and_names_the_field() -> None:
    with answering((400, {"title": "Invalid", "detail": "must be > 0", "field": "price", "rule": "V09"})) as service:
        delivery = courier(service.url).deliver(MESSAGE, None)
    assert delivery.answer == "refused"
    assert "price" in delivery.problem and "V09" in delivery.problem
    assert len(service.asked) == 1


def test_patience_ends() -> None:
    with answering(BUSY) as service:
        delivery = courier(service.url, patience=0.0).deliver(MESSAGE, None)
    assert (delivery.answer, delivery.accepted) == ("unsent", False)


def test_a_signal_is_followed_to_its_end() -> None:
    processing = (200, {"status": "processing", "reason": None})
    done = (200, {"status": "blocked", "reason": "margin", "error": None})
    with answering(NEW, processing, BUSY, done) as service:
        sender = courier(service.url)
        delivery = sender.follow(sender.deliver(MESSAGE, None), within_seconds=10)
    assert (delivery.outcome, delivery.reason, delivery.ended) == ("blocked", "margin", True)
    assert [path for _, path, _, _ in service.asked[1:]] == ["/signals/id-1"] * 3


def test_following_ends_with_its_time() -> None:
    with answering(NEW, (200, {"status": "processing", "reason": None})) as service:
        sender = courier(service.url)
        delivery = sender.follow(sender.deliver(MESSAGE, None), within_seconds=0)
    assert not delivery.ended


def test_lists_are_read_page_by_page() -> None:
    pages = [(200, {"items": [{"n": 1}], "next": "more"}), (200, {"items": [{"n": 2}], "next": None})]
    with answering(*pages) as service:
        rows = list(Api(service.url, "secret").pages("/positions", most=10, live=True))
    assert rows == [{"n": 1}, {"n": 2}]
    assert service.asked[0][1] == "/positions?live=true&limit=10"
    assert service.asked[1][1] == "/positions?live=true&limit=9&cursor=more"


@pytest.mark.parametrize(("status", "code"), [(401, Exit.CONFIGURATION), (404, Exit.FOUND), (503, Exit.UNREACHABLE)])
def test_a_read_that_fails_says_why_by_its_exit_code(status: int, code: Exit) -> None:
    with answering((status, {"title": "no"})) as service, pytest.raises(CommandFailed) as failed:
        Api(service.url, "secret").read("/health")
    assert failed.value.exit_code is code


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(CommandFailed):
        Api("localhost:8080", "secret")
