"""A process is whole unless a broken build was chosen, and then lacks one safeguard only."""

from collections.abc import Iterator

import pytest

from ratchet.broken import Broken, choose, is_broken


@pytest.fixture(autouse=True)
def _whole() -> Iterator[None]:
    yield
    choose(None)


def test_nothing_is_broken_by_default() -> None:
    assert not any(is_broken(safeguard) for safeguard in Broken)


@pytest.mark.parametrize("safeguard", list(Broken))
def test_a_broken_build_lacks_exactly_its_own_safeguard(safeguard: Broken) -> None:
    choose(safeguard.value)
    assert [other for other in Broken if is_broken(other)] == [safeguard]
    choose("")
    assert not is_broken(safeguard)


def test_an_unknown_build_is_refused() -> None:
    with pytest.raises(ValueError, match="no_such"):
        choose("no_such")
