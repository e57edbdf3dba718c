"""Cursors: what is given out comes back unchanged, everything else is refused."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cursors import decode, encode
from service.problems import Problem, Refused

INSTANTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2999, 12, 31), timezones=st.just(UTC))


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1), INSTANTS, st.uuids())
def test_a_key_comes_back_unchanged(number: int, instant: datetime, unique: UUID) -> None:
    key = (number, instant, unique, "account-1")
    cursor = encode(key)
    assert cursor.isascii()
    assert decode(cursor, [int, datetime, UUID, str]) == key


@given(st.text(max_size=500), st.lists(st.sampled_from([int, datetime, UUID, str]), min_size=1, max_size=3))
def test_whatever_else_is_presented_is_refused_or_fits_its_kinds(text: str, kinds: list[type]) -> None:
    try:
        key = decode(text, kinds)
    except Refused as refused:
        assert (refused.problem, refused.field) == (Problem.INVALID_REQUEST, "cursor")
    else:
        assert [type(part) for part in key] == kinds


@pytest.mark.parametrize("key", [[2**63], [-(2**63) - 1], [True], ["1"], [1.5], [None], [[]], [1, 2], []])
def test_a_number_that_no_row_has_is_refused(key: list[object]) -> None:
    with pytest.raises(Refused):
        decode(_encoded(key), [int])


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00", "2027-01-01", "x", ""])
def test_an_instant_that_no_row_has_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        decode(_encoded([text]), [datetime])


@pytest.mark.parametrize("name", ["\x00", "a\nb", "\ud800"])
def test_a_name_that_no_database_stores_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        decode(_encoded([name]), [str])


def _encoded(key: list[object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")
