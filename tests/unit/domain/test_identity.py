"""What makes two messages the same signal."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.identity import fingerprint, fingerprint_text
from ratchet.domain.webhook import parse
from tests.unit.domain.messages import BAR, PYRAMID, SCOUT, changed

AT = datetime(2027, 1, 19, 13, 30, tzinfo=UTC)


def test_the_worked_example_of_a_silver_pyramid() -> None:
    text = fingerprint_text("SILVER_MINI", "PYRAMID", "Long_2", AT)
    assert text == "SILVER_MINI:PYRAMID:Long_2:2027-01-19T13:30:00+00:00"
    expected = "3789657b839b0e8df9a5b547b61c8687fa3dae906ef0e698ff330d1153c22839"
    assert fingerprint("SILVER_MINI", "PYRAMID", "Long_2", AT) == expected
    assert parse(changed(PYRAMID)).signal.fingerprint == expected


@pytest.mark.parametrize(
    "stamp",
    ["2027-01-19T19:00:00", "2027-01-19T13:30:00Z", "2027-01-19T13:30:00.999Z", "2027-01-19T08:30:00-05:00"],
)
def test_every_spelling_of_an_instant_within_its_second_is_the_same_signal(stamp: str) -> None:
    spelled = parse(changed(PYRAMID, timestamp=stamp, type="pyramid", instrument="silver_mini")).signal
    assert spelled.fingerprint == fingerprint("SILVER_MINI", "PYRAMID", "Long_2", AT)
    assert spelled.stamp == AT


@given(st.timedeltas(timedelta(0), timedelta(days=36_000)), st.integers(-1439, 1439))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_zone_of_the_stamp_does_not_matter(after: timedelta, minutes: int) -> None:
    at = datetime(2000, 1, 3, tzinfo=UTC) + after
    elsewhere = at.astimezone(timezone(timedelta(minutes=minutes)))
    assert fingerprint("COPPER", "EXIT", "ALL", elsewhere) == fingerprint("COPPER", "EXIT", "ALL", at)


def test_each_part_makes_another_signal() -> None:
    later = AT + timedelta(seconds=1)
    parts = [
        ("COPPER", "EXIT", "ALL", AT),
        ("GOLD_MINI", "EXIT", "ALL", AT),
        ("COPPER", "PYRAMID", "ALL", AT),
        ("COPPER", "EXIT", "Long_1", AT),
        ("COPPER", "EXIT", None, AT),
        ("COPPER", "EXIT", "ALL", later),
    ]
    assert len({fingerprint(*part) for part in parts}) == len(parts)


@pytest.mark.parametrize("message", [SCOUT, BAR], ids=lambda m: m["type"])
def test_a_message_without_a_position_says_none(message: dict[str, object]) -> None:
    signal = parse(changed(message)).signal
    assert ":NONE:" in fingerprint_text(signal.instrument, signal.kind, signal.position, signal.timestamp)
    assert signal.fingerprint == fingerprint(signal.instrument, signal.kind, "NONE", signal.timestamp)


def test_a_naive_stamp_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        fingerprint("COPPER", "EXIT", "ALL", datetime(2027, 1, 19))
