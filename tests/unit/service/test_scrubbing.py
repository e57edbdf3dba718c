import json

import pytest

from ratchet.domain.webhook import read_body
from service.scrubbing import Scrubber

TOKEN = "a-token-of-24-letters-xx"
PLAIN = {"type": "EXIT", "reason": "SuperTrend"}


def cleaned(body: bytes) -> str:
    return json.dumps(Scrubber([TOKEN]).clean(body, read_body(body)).payload)


@pytest.mark.parametrize(
    "extra",
    [
        {"comment": f"see https://host/webhook/{TOKEN}"},
        {"nested": {"token": TOKEN}},
        {"list": [1, [TOKEN]]},
        {TOKEN: 1},
        {"token": TOKEN, "again": TOKEN},
    ],
)
def test_a_token_is_in_no_name_and_no_value_that_is_stored(extra: dict[str, object]) -> None:
    assert TOKEN not in cleaned(json.dumps(PLAIN | extra).encode())


def test_a_token_that_is_written_with_escapes_is_found_too() -> None:
    body = json.dumps(PLAIN | {"comment": "?"}).replace("?", f"\\u{ord(TOKEN[0]):04x}{TOKEN[1:]}").encode()
    assert TOKEN.encode() not in body
    assert TOKEN not in cleaned(body)


def test_a_message_without_a_token_passes_unchanged() -> None:
    body = json.dumps(PLAIN).encode()
    message = read_body(body)
    assert Scrubber([TOKEN]).clean(body, message) is message


def test_the_hash_of_a_message_does_not_depend_on_the_token_in_it() -> None:
    bodies = [json.dumps(PLAIN | {"comment": token}).encode() for token in (TOKEN, "another-token-24-letters")]
    scrubber = Scrubber([TOKEN, "another-token-24-letters"])
    assert len({scrubber.clean(body, read_body(body)).payload_hash for body in bodies}) == 1
