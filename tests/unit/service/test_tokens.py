"""Tokens: who is let in, and for whom."""

import hmac

import pytest
from pydantic import SecretStr

from ratchet.config.portfolio import Route, WebhookToken
from ratchet.domain.identity import AccountId, StrategyId
from service.tokens import ApiTokens, TokenDigests, WebhookTokens

MAIN = Route(account=AccountId("main"), strategy=StrategyId("trend"))
OTHER = Route(account=AccountId("other"), strategy=StrategyId("breakout"))
TOKENS = WebhookTokens(
    [
        WebhookToken(token=SecretStr("present-of-main"), route=MAIN),
        WebhookToken(token=SecretStr("previous-of-main"), route=MAIN),
        WebhookToken(token=SecretStr("token-of-other"), route=OTHER),
    ]
)


@pytest.mark.parametrize(
    ("presented", "route"),
    [
        ("present-of-main", MAIN),
        ("previous-of-main", MAIN),
        ("token-of-other", OTHER),
        ("Present-of-main", None),
        ("present-of-mai", None),
        ("present-of-main ", None),
        ("\ud800", None),
        ("\x00", None),
        ("", None),
        (None, None),
    ],
)
def test_a_token_names_its_account_and_strategy_and_nothing_else_does(
    presented: str | None, route: Route | None
) -> None:
    assert TOKENS.route(presented) == route


def test_every_known_token_is_compared_in_constant_time_whatever_is_presented(monkeypatch: pytest.MonkeyPatch) -> None:
    digests = TokenDigests(["one", "two", "three"])
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def watched(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr("service.tokens.hmac.compare_digest", watched)
    for presented in ("one", "three", "x", "a much longer token than any that is known"):
        compared.clear()
        digests.find(presented)
        assert compared == [(32, 32)] * 3


def test_two_processes_do_not_compare_the_same_digests() -> None:
    assert TokenDigests(["one"])._digest("one") != TokenDigests(["one"])._digest("one")


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (b"Bearer present", True),
        (b"bearer previous", True),
        (b"Bearer  present ", True),
        (b"Bearer wrong", False),
        (b"Basic present", False),
        (b"present", False),
        (b"Bearer", False),
        (b"", False),
        (b"Bearer \xff\xfe", False),
    ],
)
def test_the_api_takes_the_present_and_the_previous_token_as_bearer(header: bytes, accepted: bool) -> None:
    tokens = ApiTokens(SecretStr("present"), SecretStr("previous"))
    assert tokens.accepts([(b"host", b"x"), (b"authorization", header)]) is accepted


def test_without_a_configured_token_nobody_is_let_in() -> None:
    assert not ApiTokens(None, None).accepts([(b"authorization", b"Bearer ")])
    assert not ApiTokens(None, None).accepts([])
