"""V01 and what comes before any field: size, encoding, JSON, the token, and the payload's hash."""

import json
from decimal import Decimal

import pytest

from ratchet.domain.webhook import InvalidSignal, TooLarge, parse, read_body
from tests.unit.domain.messages import BAR, BASE, EXIT, changed


def padded(size: int) -> bytes:
    """Return a valid body of exactly `size` bytes."""
    empty = len(changed(BAR, pad=""))
    return changed(BAR, pad="x" * (size - empty))


def test_a_body_of_10240_bytes_is_read() -> None:
    assert parse(padded(10_240)).signal.instrument == "COPPER"


def test_a_longer_body_is_too_large_even_if_it_is_no_json() -> None:
    with pytest.raises(TooLarge) as caught:
        parse(b"[" * 10_241)
    assert (caught.value.size, caught.value.limit) == (10_241, 10_240)


def test_the_limit_can_be_set() -> None:
    with pytest.raises(TooLarge):
        parse(padded(501), limit=500)
    assert parse(padded(500), limit=500)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{}",
        b"[]",
        b"null",
        b'"text"',
        b"5",
        b'[{"type":"EXIT"}]',
        b"type=EXIT",
        b'{"type":"EXIT"',
        b'{"type":"EXIT"} extra',
        b"{'type':'EXIT'}",
        b'{"type":"EXIT",}',
        b'\xef\xbb\xbf{"type":"EXIT"}',
        b'{"type":"\xff"}',
        '{"type":"EXIT"}'.encode("utf-16"),
        b'{"price":NaN}',
        b'{"price":Infinity}',
        b'{"price":-Infinity}',
        b'{"type":"a\x00b"}',
        b'{"type":"a\\u0000b"}',
        b'{"a\\u0000":1}',
        b'{"deep":[{"x":["\\u0000"]}]}',
        b'{"type":"\\ud800"}',
        b'{"type":"\\udc00\\ud800"}',
        b'{"type":"\xed\xa0\x80"}',
        b'{"\\udfff":1}',
        b'{"token":"\\u0000"}',
        b"[" * 10_000,
        b'{"a":' * 2_000,
        b'{"a":' + b"[" * 101 + b"]" * 101 + b"}",
    ],
)
def test_v01_a_body_that_is_no_storable_json_object_fails_as_a_whole(body: bytes) -> None:
    with pytest.raises(InvalidSignal) as caught:
        parse(body)
    assert (caught.value.field, caught.value.rule) == ("$body", "V01")


def test_a_paired_surrogate_and_a_spelled_out_escape_are_ordinary_text() -> None:
    body = changed(EXIT, reason="\U0001f600 \\u0000")
    assert b"\\ud83d\\ude00" in body
    assert parse(body).signal.reason == "\U0001f600 \\u0000"


def test_the_last_of_two_equal_names_counts() -> None:
    body = changed(BAR).replace(b'"price": 917.85', b'"price": 1, "price": 917.85')
    assert parse(body).signal.price == Decimal("917.85")


def test_numbers_do_not_pass_through_binary_floats() -> None:
    body = changed(BAR).replace(b"917.85", b"917.850000000000000000000000001")
    assert parse(body).signal.price == Decimal("917.850000000000000000000000001")


def test_the_token_is_returned_but_is_neither_in_the_payload_nor_in_the_hash() -> None:
    plain, with_token = parse(changed(BASE)), parse(changed(BASE, token="a-secret"))
    assert (plain.token, with_token.token) == (None, "a-secret")
    assert with_token.signal.payload == plain.signal.payload
    assert with_token.payload_hash == plain.payload_hash
    assert "a-secret" not in repr(with_token.signal)


@pytest.mark.parametrize("token", [5, True, None, ["a"], {"a": "b"}])
def test_a_token_that_is_no_text_is_none_and_is_taken_out_all_the_same(token: object) -> None:
    parsed = parse(changed(BASE, token=token))
    assert parsed.token is None
    assert "token" not in parsed.signal.payload


def test_the_token_can_be_read_before_the_fields_are_checked() -> None:
    assert read_body(b'{"token":"t","type":"nonsense"}').token == "t"


def test_the_hash_does_not_depend_on_order_or_spaces_but_on_every_value() -> None:
    backwards = json.dumps(dict(reversed(BASE.items())), indent=2).encode()
    first = parse(changed(BASE)).payload_hash
    assert parse(backwards).payload_hash == first
    assert len(first) == 64
    assert parse(changed(BASE, er=0.84)).payload_hash != first
    assert parse(changed(BASE, note="x")).payload_hash != first


def test_v22_unknown_fields_are_kept_in_a_payload_that_json_can_hold() -> None:
    body = changed(BAR, note={"list": [1, 2.50, True, None], "text": "ä"}).replace(b"2.5", b"2.500")
    payload = parse(body).signal.payload
    assert payload["note"] == {"list": [1, "2.500", True, None], "text": "ä"}
    assert payload["price"] == "917.85"
    assert json.loads(json.dumps(payload)) == payload


@pytest.mark.parametrize("number", [b"9" * 9_000, b"-" + b"9" * 9_000, b"1e999999", b"1e99999999999999999999"])
def test_v22_an_unknown_number_of_any_size_can_be_stored(number: bytes) -> None:
    parsed = parse(changed(BAR, huge=0).replace(b'"huge": 0', b'"huge": ' + number))
    assert json.loads(json.dumps(parsed.signal.payload))["huge"].lower().replace("+", "") == number.decode()
