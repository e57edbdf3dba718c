"""The few shapes of Markdown that the generated pages are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTE = "Made from the code by `python -m docs.generate`; do not edit."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar inside a cell is escaped, a line break becomes a space."""
    lines = [_line(head), _line(["---"] * len(head)), *(_line([_cell(cell) for cell in row]) for row in rows)]
    return "\n".join(lines) + "\n"


def code(values: Iterable[object]) -> str:
    """Return values in code letters, separated by commas."""
    return ", ".join(f"`{value}`" for value in values)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
