"""What a process says about its leadership."""

from __future__ import annotations

import pytest

from leader.leading import times
from leader.place import identity_of
from ratchet.config import Settings
from ratchet.config.duties import LeaderSettings


def test_an_identity_is_new_with_each_process_and_fits_its_column() -> None:
    settings = Settings()
    assert identity_of(settings, "boot-1") != identity_of(settings, "boot-2")
    assert identity_of(settings, "boot-1").endswith("_boot-1")
    assert len(identity_of(settings, "x" * 500)) <= 200


@pytest.mark.parametrize("seconds", [1.5, 5.0, 10.0])
def test_a_lease_lasts_whole_seconds_and_never_shorter_than_set(seconds: float) -> None:
    found = times(LeaderSettings(lease_duration_seconds=seconds))
    assert seconds <= found.lease_duration < seconds + 1
