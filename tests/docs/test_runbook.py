"""A person who was woken can type what the runbook says: its commands are ones that the programs take."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratchet.cli.main import build_parser as cli_parser
from ratchet.kubectl.main import build_parser as plugin_parser
from tests.docs.pages import DOCS

PAGES = sorted((DOCS / "runbook").glob("*.md"))
COMMAND = re.compile(
    r"(?P<where>kubectl ratchet|exec (?:-i )?deploy/ratchet-(?:leader|signals) -- ratchet) (?P<words>[^`\n]+)"
)
LEFT_OPEN = re.compile(r"\s--[a-z-]+ …|\s…")
END = re.compile(r"\s+[#>|&].*$")
SOME_ID = "00000000-0000-0000-0000-000000000000"


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield where each command of the page runs, and its words; an option whose value is left open is left out."""
    for found in COMMAND.finditer(page.read_text(encoding="utf-8")):
        words = LEFT_OPEN.sub("", END.sub("", f" {found['words']}"))
        yield found["where"], [SOME_ID if word == "ID" else word for word in shlex.split(words)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_every_page_says_what_to_type_on_kubernetes(page: Path) -> None:
    assert "kubectl " in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_every_command_is_one_that_its_program_takes(page: Path) -> None:
    for where, words in commands(page):
        if words:  # none: `ratchet …`, any command
            build = plugin_parser if where == "kubectl ratchet" else cli_parser
            build(words).parse_args(words, argparse.Namespace())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_what_asks_the_service_in_its_own_pod_is_asked_in_a_signal_pod(page: Path) -> None:
    wrong = [
        words
        for where, words in commands(page)
        if "ratchet-leader" in where and words[:1] in (["status"], ["positions"], ["signals"], ["send"])
    ]
    assert wrong == []
