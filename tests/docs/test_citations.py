import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS
from tests.house.sources import CODE, ROOT, python_files, shown, text_files

CITATION = re.compile(r"docs/(?P<page>[a-z-]+\.md)(?:`?, sections? (?P<section>[0-9]+(?:\.[0-9]+)?))?")
MADE_LATER = {"performance.md"}
"""Pages that `make bench` writes."""

READING = re.compile(r"\bD-[0-9]{1,2}\b")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)#\s]+)?(?:#(?P<anchor>[^)\s]+))?\)")


def sections(page: Path) -> set[str]:
    return set(re.findall(r"^#{2,3} ([0-9]+(?:\.[0-9]+)?)\.? ", page.read_text(encoding="utf-8"), re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual renderers make them."""
    found = re.findall(r"^#{1,6} (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def markdown() -> list[Path]:
    return [path for path in text_files() if path.suffix == ".md"]


@pytest.mark.parametrize("folder", CODE)
def test_what_the_code_cites_is_there(folder: str) -> None:
    lost = []
    for path in python_files(folder):
        if "tests/docs" in shown(path):
            continue
        for cited in CITATION.finditer(path.read_text(encoding="utf-8")):
            page = DOCS / cited["page"]
            if cited["page"] in MADE_LATER and not page.exists():
                continue
            if not page.exists() or (cited["section"] and cited["section"] not in sections(page)):
                lost.append(f"{shown(path)}: {cited[0]}")
    assert lost == []


def test_every_settled_reading_that_is_cited_is_written_down() -> None:
    written = set(READING.findall((DOCS / "domain.md").read_text(encoding="utf-8")))
    cited = {
        (reading, shown(path)) for path in python_files(*CODE) for reading in READING.findall(path.read_text("utf-8"))
    }
    assert sorted((reading, place) for reading, place in cited if reading not in written) == []


def test_every_link_between_pages_leads_somewhere() -> None:
    lost = []
    for path in markdown():
        for link in LINK.finditer(path.read_text(encoding="utf-8")):
            target, anchor = link["target"] or "", link["anchor"]
            if target.startswith(("http:", "https:", "mailto:")):
                continue
            found = (path.parent / target).resolve() if target else path
            if not found.exists() or (anchor and found.suffix == ".md" and anchor not in anchors(found)):
                lost.append(f"{shown(path)}: {link[0]}")
    assert lost == []


def test_the_readme_reaches_every_page() -> None:
    seen, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.exists():
            continue
        seen.add(path)
        if path.suffix == ".md":
            links = LINK.finditer(path.read_text(encoding="utf-8"))
            waiting += [(path.parent / link["target"]).resolve() for link in links if link["target"]]
    assert [shown(page) for page in sorted(DOCS.rglob("*.md")) if page not in seen] == []
