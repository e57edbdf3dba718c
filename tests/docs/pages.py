"""Reads tables out of the documentation, and calls out of the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.sources import PRODUCT, ROOT, dotted, python_files, tree

DOCS = ROOT / "docs"


def rows(page: str, *, head: str) -> Iterator[list[str]]:
    """Yield the cells of every row of the page's tables whose first heading is `head`."""
    inside = False
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif cells[0] == head:
            inside = True
        elif inside and set(cells[0]) - set("- :"):
            yield cells


def quoted(text: str) -> list[str]:
    """Return what stands in code letters."""
    return re.findall(r"`([^`]+)`", text)


def calls(*methods: str) -> Iterator[tuple[Path, ast.Call, str]]:
    """Yield every call in the product of a method (or function) of these names: file, call, what it is called on."""
    for path in python_files(*PRODUCT):
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            name = dotted(node.func)
            if name.rpartition(".")[2] in methods:
                yield path, node, name.rpartition(".")[0]


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return a keyword argument of a call."""
    return next((given.value for given in call.keywords if given.arg == name), None)
