"""What the end of a session asks for, from the last view and the position."""

from datetime import UTC, datetime, timedelta

import pytest

from ratchet.domain.endofday import SEVEN, Action, action, due
from ratchet.domain.signals import SignalKind

CLOSE = datetime(2027, 1, 11, 18, 25, tzinfo=UTC)


def conditions(*true: str) -> dict[str, bool]:
    return {name: name in true for name in (*SEVEN, "long_entry", "long_exit")}


def asked(true: tuple[str, ...], *, layers: int = 0, held: bool | None = None, most: int = 5) -> Action | None:
    held = layers > 0 if held is None else held
    return action(conditions(*true), in_position=held, layers_opened=layers, max_pyramids=most)


def test_an_exit_condition_closes_all_and_outranks_an_entry() -> None:
    assert asked(("long_exit", "long_entry"), layers=2) == Action(SignalKind.EXIT, "ALL")


def test_there_is_nothing_to_exit_when_flat() -> None:
    assert asked(("long_exit",)) is None


@pytest.mark.parametrize("true", [("long_entry",), SEVEN])
def test_an_entry_condition_or_all_seven_open_a_base_when_flat(true: tuple[str, ...]) -> None:
    assert asked(true) == Action(SignalKind.BASE_ENTRY, "Long_1")


def test_six_of_the_seven_are_not_enough() -> None:
    assert asked(SEVEN[:-1]) is None


def test_an_entry_in_position_is_the_next_layer_of_the_trade() -> None:
    assert asked(("long_entry",), layers=2) == Action(SignalKind.PYRAMID, "Long_3")


def test_no_pyramid_beyond_what_the_instrument_allows() -> None:
    assert asked(("long_entry",), layers=3, most=3) == Action(SignalKind.PYRAMID, "Long_4")
    assert asked(("long_entry",), layers=4, most=3) is None
    assert asked(("long_entry",), layers=6, most=9) is None


def test_a_base_that_is_still_opening_takes_no_pyramid() -> None:
    assert asked(("long_entry",), layers=0, held=True) is None


@pytest.mark.parametrize(
    ("before_close", "is_due"), [(45.001, False), (45, True), (30, True), (0.001, True), (0, False), (-1, False)]
)
def test_the_last_45_seconds_are_the_time_and_the_stamp_is_constant(before_close: float, is_due: bool) -> None:
    stamp = due(CLOSE - timedelta(seconds=before_close), CLOSE)
    assert stamp == (CLOSE - timedelta(seconds=45) if is_due else None)


def test_nothing_is_due_while_the_exchange_is_closed() -> None:
    assert due(CLOSE, None) is None
