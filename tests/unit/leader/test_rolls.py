"""What is told of a roll between two looks at it."""

from __future__ import annotations

from datetime import date
from uuid import uuid4

import pytest

from leader.announcing import Moment
from leader.rolls import Roll, moments, name_of
from ratchet.domain.rollover import RolloverStatus as S

STARTED, COMPLETED, FAILED = Moment.ROLLOVER_STARTED, Moment.ROLLOVER_COMPLETED, Moment.ROLLOVER_FAILED


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (None, S.PENDING, []),
        (None, S.IN_PROGRESS, [STARTED]),
        (None, S.ROLLED, [STARTED, COMPLETED]),
        (S.PENDING, S.PENDING, []),
        (S.PENDING, S.IN_PROGRESS, [STARTED]),
        (S.PENDING, S.FAILED, [STARTED, FAILED]),
        (S.PENDING, S.NONE, []),
        (S.IN_PROGRESS, S.IN_PROGRESS, []),
        (S.IN_PROGRESS, S.ROLLED, [COMPLETED]),
        (S.IN_PROGRESS, S.FAILED, [FAILED]),
        (S.FAILED, S.PENDING, []),
        (S.FAILED, S.ROLLED, [COMPLETED]),
    ],
)
def test_a_start_and_an_end_are_told_once_however_quick(before: S | None, now: S, told: list[Moment]) -> None:
    assert moments(before, now) == told


def test_a_roll_is_named_after_what_it_leaves_as_the_cluster_wants_names() -> None:
    roll = Roll(
        id=uuid4(),
        account="main",
        instrument="BANK_NIFTY",
        layer="Long_1",
        contract="x",
        expiry=date(2027, 1, 28),
        state=S.IN_PROGRESS,
    )
    assert name_of(roll) == "rollover-bank-nifty-2027-01-28"
