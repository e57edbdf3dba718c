from difflib import unified_diff

import pytest

from docs import generate


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    stored = (generate.REFERENCE / name).read_text(encoding="utf-8")
    differing = list(unified_diff(stored.splitlines(), generate.page(name).splitlines(), "stored", "made", n=0))
    assert differing[:20] == [], "run `python -m docs.generate`"


def test_every_page_of_the_reference_is_generated() -> None:
    made = {name for name in generate.PAGES if "/" not in name}
    assert {path.name for path in generate.REFERENCE.glob("*.md")} == made
