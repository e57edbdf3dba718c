import re

from tests.docs.pages import DOCS, rows

NAMED = re.compile(r"\bratchet_[a-z_]+\b")
SUFFIX = re.compile(r"_(?:bucket|sum|count)$")


def test_every_metric_that_the_documentation_names_is_measured() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")
    measured = set(NAMED.findall(page.partition("## Named, not measured yet")[0]))
    lost = [
        f"{path.relative_to(DOCS)}: {name}"
        for path in sorted(DOCS.rglob("*.md"))
        if path.parent.name != "reference"
        for name in NAMED.findall(path.read_text(encoding="utf-8"))
        if SUFFIX.sub("", name) not in measured
    ]
    assert lost == []


def test_every_runbook_page_answers_a_condition_of_its_list() -> None:
    listed = {
        link
        for cells in rows("runbook/README.md", head="condition")
        for link in re.findall(r"\((.+?\.md)\)", cells[-1])
    }
    assert listed == {path.name for path in (DOCS / "runbook").glob("*.md")} - {"README.md"}
