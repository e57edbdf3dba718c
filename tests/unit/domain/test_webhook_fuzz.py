"""Whatever arrives, parsing answers with a signal or with one of its two errors."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.webhook import InvalidSignal, Parsed, TooLarge, parse
from tests.unit.domain.messages import EVERY_KIND

STEADY = settings(max_examples=50, deadline=None, derandomize=True)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=20)
    | st.sampled_from(["0", "-1", "1e5", "Long_1", "ALL", "2027-01-11T13:00:02", "9" * 50]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def answer(body: bytes) -> Parsed | InvalidSignal | TooLarge:
    """Return what parsing gives. Any other exception than its own two is a failure of the test."""
    try:
        return parse(body)
    except (InvalidSignal, TooLarge) as error:
        return error


@STEADY
@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    assert isinstance(answer(body), InvalidSignal)


@STEADY
@given(values)
def test_any_json(value: Any) -> None:
    assert isinstance(answer(json.dumps(value).encode()), InvalidSignal)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from(EVERY_KIND))
def test_any_value_in_any_field(data: st.DataObject, message: dict[str, Any]) -> None:
    name = data.draw(st.sampled_from(sorted({*message, "roc", "position_status", "sizing", "token", "new"})))
    found = answer(json.dumps({**message, name: data.draw(values)}).encode())
    match found:
        case Parsed(signal=signal, payload_hash=digest):
            json.dumps(signal.payload).encode()
            assert len(digest) == len(signal.fingerprint) == 64
        case InvalidSignal(field=field):
            assert field == "$body" or field.split(".")[0] == name
        case _:
            raise AssertionError(found)


@STEADY
@given(st.data(), st.sampled_from(EVERY_KIND))
def test_a_message_cut_or_damaged_anywhere(data: st.DataObject, message: dict[str, Any]) -> None:
    body = json.dumps(message).encode()
    at = data.draw(st.integers(0, len(body) - 1))
    assert isinstance(answer(body[:at]), InvalidSignal)
    damaged = body[:at] + data.draw(st.binary(max_size=3)) + body[at + 1 :]
    assert isinstance(answer(damaged), Parsed | InvalidSignal)
