"""What commands print: tables and a progress bar for people, plain lines for pipes, JSON when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ratchet.cli.exits import Exit

_COLOURS = {
    "executed": "green",
    "partially_executed": "yellow",
    "blocked": "yellow",
    "rejected": "yellow",
    "expired": "yellow",
    "failed": "red",
    "review": "red",
    "ok": "green",
    "violated": "red",
    "open": "cyan",
}


class CommandFailed(Exception):
    """A command cannot go on; the message says why and what to do, `exit_code` is the process's."""

    def __init__(self, message: str, exit_code: Exit) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Output:
    """Where a command writes. On a terminal it may decorate; in a pipe it writes data only, on standard output.

    Data goes to standard output; remarks and progress go to standard error, and only to a terminal.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(file=sys.stdout, highlight=False)
        self._err = Console(file=sys.stderr, highlight=False)

    @property
    def interactive(self) -> bool:
        """Whether a person sees the data at once."""
        return self._out.is_terminal and not self.as_json

    def remark(self, text: str) -> None:
        """Tell a person something that is no data."""
        if self._err.is_terminal and not self.as_json:
            self._err.print(text, style="dim")

    def error(self, text: str) -> None:
        """Tell what went wrong, always."""
        self._err.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True)

    def line(self, text: str) -> None:
        """Print one sentence of data; not with --json."""
        if not self.as_json:
            self._out.print(escape(text), soft_wrap=True)

    def data(self, value: Any) -> None:
        """Print a value as JSON; only with --json."""
        if self.as_json:
            print(json.dumps(value, indent=2, default=str))

    def rows(self, title: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        """Print rows: a table on a terminal, tab-separated lines with a head in a pipe, a list with --json."""
        found = list(rows)
        if self.as_json:
            self.data(found)
        elif self.interactive:
            self._out.print(_table(title, columns, found))
        else:
            print("\t".join(columns))
            for row in found:
                print("\t".join(_plain(row.get(column)) for column in columns))

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Print names with their values."""
        if self.as_json:
            self.data(dict(facts))
            return
        width = max((len(name) for name in facts), default=0)
        for name, value in facts.items():
            self._out.print(f"[bold]{escape(name.ljust(width))}[/]  {escape(_in_words(value))}", soft_wrap=True)

    @contextmanager
    def progress(self, text: str, total: int) -> Iterator[Progress | None]:
        """Show a bar on a terminal while the block runs; its only task has the id 0."""
        if self.as_json or not self._err.is_terminal:
            yield None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._err, transient=True) as bar:
            bar.add_task(text, total=total)
            yield bar


def _table(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title=title if rows else f"{title}: none", title_justify="left", title_style="bold")
    for column in columns:
        numbers = all(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(column, justify="right" if rows and numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_coloured(_shown(row.get(column))) for column in columns))
    return table


def _coloured(text: str) -> str:
    colour = _COLOURS.get(text)
    return f"[{colour}]{text}[/]" if colour else escape(text)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return str(value)


def _in_words(value: Any) -> str:
    """Return a mapping as names and values, without those that say nothing."""
    if not isinstance(value, dict):
        return _shown(value)
    told = ((name, _in_words(inner)) for name, inner in value.items())
    return ", ".join(f"{name} {text}" for name, text in told if text)


def _plain(value: Any) -> str:
    return _shown(value).replace("\t", " ").replace("\n", " ")
