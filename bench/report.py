"""What was measured, as a table for people and as docs/performance.md."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from bench.place import RAISED

FILE = Path(__file__).parents[1] / "docs" / "performance.md"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. target: what was promised, empty for one that only explains."""

    name: str
    value: str
    target: str = ""
    met: bool | None = None


@dataclass(slots=True)
class Section:
    """One measurement with its figures. how: a sentence or two for whoever wants to judge it."""

    title: str
    how: str
    figures: list[Figure] = field(default_factory=list)

    def add(self, name: str, value: str, target: str = "", met: bool | None = None) -> None:
        """Add a figure."""
        self.figures.append(Figure(name, value, target, met))


def show(console: Console, section: Section) -> None:
    """Print a section."""
    table = Table(title=section.title, title_justify="left", caption=section.how, caption_justify="left")
    for heading in ("figure", "measured", "target", ""):
        table.add_column(heading)
    for figure in section.figures:
        table.add_row(figure.name, figure.value, figure.target, _mark(figure))
    console.print(table)


def write(sections: list[Section], command: str) -> None:
    """Write docs/performance.md."""
    FILE.write_text("\n".join(_lines(sections, command)), encoding="utf-8")


def _mark(figure: Figure) -> str:
    return "" if figure.met is None else "met" if figure.met else "missed"


def _lines(sections: list[Section], command: str) -> list[str]:
    memory = round(psutil.virtual_memory().total / 2**30)
    lines = [
        "# Performance",
        "",
        f"Made by `{command}` on {datetime.now(UTC):%Y-%m-%d}: {psutil.cpu_count()} cores, {memory} GB,",
        f"Python {platform.python_version()}, PostgreSQL with fsync and synchronous_commit on, all on one machine.",
        "Ratios and CPU times compare; absolute rates depend on the machine and on what else it does.",
        "",
        "Settings that differ from the defaults:",
        "",
        *(f"- `{name}={value}`" for name, value in RAISED.items()),
        "",
    ]
    for section in sections:
        lines += [f"## {section.title}", "", section.how, "", "| figure | measured | target | |", "|---|---|---|---|"]
        lines += [f"| {f.name} | {f.value} | {f.target} | {_mark(f)} |" for f in section.figures]
        lines.append("")
    return lines
