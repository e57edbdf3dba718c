"""`kubectl ratchet report`: a drill's report again, or many of them as a table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.kubectl.drill import FOLDER
from ratchet.kubectl.drills.record import FORMAT
from ratchet.kubectl.drills.text import markdown, summary

EXAMPLES = """\
examples:
  kubectl ratchet report                                          every report of the folder, as a table
  kubectl ratchet report docs/drills
  kubectl ratchet report ratchet-drills/kill-leader-20261127T104500.json

Reads files alone; asks no cluster. Ends with 1 if a verdict is not pass."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("path", nargs="?", type=Path, default=FOLDER, help=f"a report's JSON, or a folder ({FOLDER})")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """Print it."""
    path: Path = args.path
    if not path.exists():
        raise CommandFailed(f"{path} does not exist: `kubectl ratchet drill` makes reports", Exit.USAGE)
    if not path.is_dir():
        reports = [read(path)]
        text = markdown(reports[0])
    else:
        reports = [read(file) for file in sorted(path.glob("*.json"))]
        if not reports and not out.as_json:
            out.line(f"no reports in {path}")
            return Exit.OK
        text = summary(reports)
    if out.as_json:
        out.data(reports if path.is_dir() else reports[0])
    else:
        print(text)
    return Exit.OK if all(one["verdict"] == "pass" for one in reports) else Exit.FOUND


def read(file: Path) -> dict[str, Any]:
    """Return a stored report. Raises CommandFailed."""
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{file} cannot be read: {error}", Exit.USAGE) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CommandFailed(f"{file} is no report of a drill that this version knows", Exit.USAGE)
    return data
