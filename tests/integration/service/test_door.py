"""Handing signals in: who may, what is answered, and that nothing a client sends makes an error of ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from ratchet.domain.signals import Source
from ratchet.execution.submission import NotDurable, Overloaded
from tests.integration.service.running import (
    API_TOKEN,
    PREVIOUS_API_TOKEN,
    PREVIOUS_WEBHOOK_TOKEN,
    WEBHOOK_TOKEN,
    Pod,
    entry,
    fresh,
    running,
    settings_for,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEARER = {"authorization": f"Bearer {API_TOKEN}"}


async def test_a_new_signal_is_answered_202_with_its_id(shared: Pod) -> None:
    told = await shared.send(fresh())
    assert told.status == 202
    assert set(told.json) == {"id", "status", "duplicate", "request_id"}
    assert (told.json["status"], told.json["duplicate"]) == ("accepted", None)


async def test_a_redelivery_is_answered_200_with_the_first_ones_id(shared: Pod) -> None:
    first = await shared.send(entry())
    again = await shared.send(entry())
    assert (again.status, again.json["duplicate"]) == (200, "exact")
    assert again.json["id"] == first.json["id"]
    assert again.json["request_id"] != first.json["request_id"]


@pytest.mark.parametrize("token", [WEBHOOK_TOKEN, PREVIOUS_WEBHOOK_TOKEN])
async def test_the_present_and_the_previous_webhook_token_are_both_valid(shared: Pod, token: str) -> None:
    assert (await shared.send(fresh(), token=token)).status == 202


@pytest.mark.parametrize("token", [API_TOKEN, PREVIOUS_API_TOKEN])
async def test_the_present_and_the_previous_api_token_are_both_valid(shared: Pod, token: str) -> None:
    headers = {"authorization": f"bearer {token}"}
    assert (await shared.ask("POST", "/signals", body=fresh(), headers=headers)).status == 202


async def test_the_token_may_stand_in_the_query(shared: Pod) -> None:
    assert (await shared.ask("POST", f"/webhook?token={WEBHOOK_TOKEN}", body=fresh())).status == 202


async def test_the_token_may_stand_in_the_body_and_is_not_kept(pod: Pod) -> None:
    told = await pod.ask("POST", "/webhook", body=entry(token=WEBHOOK_TOKEN))
    assert told.status == 202
    assert "token" not in pod.acceptor.submissions[0].signal.payload
    again = await pod.send(entry())
    assert again.json["duplicate"] == "exact"
    assert pod.acceptor.submissions[0].payload_hash == pod.acceptor.submissions[1].payload_hash


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/webhook", entry()),
        ("/webhook/", entry()),
        ("/webhook/wrong", entry()),
        ("/webhook?token=wrong", entry()),
        ("/webhook?token=", entry()),
        ("/webhook", entry(token="wrong")),
        ("/webhook", entry(token=7)),
        ("/webhook", {"type": "nonsense"}),
        ("/webhook/wrong", entry(token=WEBHOOK_TOKEN)),
        (f"/webhook/{API_TOKEN}", entry()),
        ("/webhook/%00%ff%ed%a0%80", entry()),
        ("/signals", entry()),
        ("/signals", entry(token=WEBHOOK_TOKEN)),
    ],
)
async def test_without_a_right_token_the_answer_is_401_and_says_nothing_else(
    shared: Pod, path: str, message: dict[str, Any]
) -> None:
    before = len(shared.acceptor.submissions)
    told = await shared.ask("POST", path, body=message)
    assert told.status == 401
    assert told.headers["www-authenticate"].startswith("Bearer")
    assert (told.json["field"], told.json["rule"]) == (None, None)
    assert len(shared.acceptor.submissions) == before


@pytest.mark.parametrize("scheme", ["Basic", "", "Bearer Bearer"])
async def test_another_scheme_than_bearer_is_401(shared: Pod, scheme: str) -> None:
    told = await shared.ask("POST", "/signals", body=fresh(), headers={"authorization": f"{scheme} {API_TOKEN}"})
    assert told.status == 401


async def test_the_first_failing_field_is_named(shared: Pod) -> None:
    told = await shared.send(fresh(price=0, stop=-1, position="Long_2"))
    assert told.status == 400
    assert told.headers["content-type"] == "application/problem+json"
    assert (told.json["field"], told.json["rule"], told.json["status"]) == ("position", "V06", 400)
    assert told.json["request_id"] == told.headers["x-request-id"]


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/plain; charset=utf-8", "x", "image/png;;;"])
async def test_the_body_is_read_whatever_its_content_type_says(shared: Pod, kind: str) -> None:
    assert (await shared.send(fresh(), headers={"content-type": kind})).status == 202


async def test_a_signal_through_the_api_belongs_to_the_account_that_is_asked_for(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, simulator={"load_accounts": 3})
    async with running(settings) as pod:
        named = await pod.ask("POST", "/signals?account=load-02&strategy=trend", body=entry(), headers=BEARER)
        default = await pod.ask("POST", "/signals?account=", body=entry(), headers=BEARER)
        assert (named.status, default.status) == (202, 202)
        first, second = pod.acceptor.submissions
        assert (first.account, first.source) == ("load-02", Source.API)
        assert second.account == "main"


@pytest.mark.parametrize(("query", "field"), [("account=nobody", "account"), ("strategy=%00", "strategy")])
async def test_an_unknown_account_or_strategy_is_400(shared: Pod, query: str, field: str) -> None:
    told = await shared.ask("POST", f"/signals?{query}", body=fresh(), headers=BEARER)
    assert (told.status, told.json["field"]) == (400, field)


async def test_a_body_over_the_limit_is_413_and_the_connection_goes_on(shared: Pod) -> None:
    told = await shared.send(fresh(note="x" * 10_240))
    assert (told.status, told.json["field"], told.json["rule"]) == (413, "$body", "V01")
    assert "connection" not in told.headers
    assert (await shared.send(fresh())).status == 202


async def test_a_huge_body_is_413_and_the_sender_gets_to_see_it(shared: Pod) -> None:
    assert (await shared.send(b"x" * 3_000_000)).status == 413


async def test_a_body_in_chunks_without_a_length_is_read(shared: Pod) -> None:
    async def chunks() -> Any:
        text = json.dumps(fresh()).encode()
        for start in range(0, len(text), 7):
            yield text[start : start + 7]

    async with shared.session.post(f"{shared.url}/webhook/{WEBHOOK_TOKEN}", data=chunks()) as told:
        assert told.status == 202


@pytest.mark.parametrize(("trouble", "kind"), [(NotDurable("x"), "not-durable"), (Overloaded("x"), "overloaded")])
async def test_what_could_not_be_stored_is_503_with_retry_after(pod: Pod, trouble: Exception, kind: str) -> None:
    pod.acceptor.trouble = trouble
    told = await pod.send(entry())
    assert (told.status, told.json["type"]) == (503, f"urn:ratchet:problem:{kind}")
    assert int(told.headers["retry-after"]) >= 1


async def test_a_mistake_of_ours_is_a_problem_without_its_text(pod: Pod) -> None:
    pod.acceptor.trouble = RuntimeError("the secret inside")
    told = await pod.send(entry())
    assert (told.status, told.json["type"]) == (500, "urn:ratchet:problem:internal")
    assert b"secret" not in told.body


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_the_webhook_takes_nothing_but_post(shared: Pod, method: str) -> None:
    for path in ("/webhook", f"/webhook/{WEBHOOK_TOKEN}"):
        told = await shared.ask(method, path)
        assert (told.status, told.headers["allow"]) == (405, "POST")
        assert told.headers["content-type"] == "application/problem+json"
