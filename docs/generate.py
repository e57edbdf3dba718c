"""Makes the reference pages from the code that they describe, and says which pages are not current.

python -m docs.generate           write docs/reference/*.md
python -m docs.generate --check   write nothing; end with 1 if a page differs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from docs import commands_page, drills_page, http_page, kubectl_page, metrics_page, settings_page, states_page

REFERENCE = Path(__file__).with_name("reference")

PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page.settings,
    "states.md": states_page.states,
    "reasons.md": states_page.reasons,
    "metrics.md": metrics_page.metrics,
    "cli.md": commands_page.commands,
    "kubectl.md": kubectl_page.commands,
    "http-api.md": http_page.http_api,
    "../drills/README.md": drills_page.drills,
}
"""Each generated page and what makes it."""


def page(name: str) -> str:
    """Return a page's text as it is stored."""
    return PAGES[name]().rstrip() + "\n"


def stale() -> list[str]:
    """Return the names of the pages that differ from the code."""
    return [name for name in PAGES if _stored(name) != page(name)]


def _stored(name: str) -> str:
    path = REFERENCE / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> int:
    """Write the pages, or check them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a page differs")
    changed = stale()
    if parser.parse_args().check:
        sys.stdout.writelines(
            f"docs/reference/{name} is not current: run `python -m docs.generate`\n" for name in changed
        )
        return 1 if changed else 0
    REFERENCE.mkdir(exist_ok=True)
    for name in changed:
        (REFERENCE / name).write_text(page(name), encoding="utf-8")
        sys.stdout.write(f"docs/reference/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
