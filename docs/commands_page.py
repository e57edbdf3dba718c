"""The page of commands, from the parsers that read the command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from docs.markdown import NOTE, table
from ratchet.cli.commands import COMMANDS
from ratchet.cli.exits import MEANINGS
from ratchet.cli.main import build_parser

Row = tuple[str, str, str]
SHARED = {"--json", "--namespace", "--context", "--kubeconfig", "--release", "--output"}
"""What every command takes, and no table repeats."""


def commands() -> str:
    """Return the page of commands."""
    parts = [
        "# Commands",
        NOTE,
        "`ratchet COMMAND --help` says the same. Every command takes `--json`. On a terminal they draw tables; in a "
        "pipe they print lines separated by tabs. Settings come from the environment: [settings](settings.md).",
        table(("command", "does"), ((f"[`ratchet {c.name}`](#ratchet-{c.name})", c.help) for c in COMMANDS)),
    ]
    for command in COMMANDS:
        parser = parser_of(build_parser([command.name]), command.name)
        parts += [f"## ratchet {command.name}", f"{command.help[0].upper()}{command.help[1:]}."]
        parts += list(described(parser))
        parts.append(f"```text\n{(parser.epilog or '').strip()}\n```")
    parts += ["## Exit codes", table(("code", "meaning"), ((str(c.value), meaning) for c, meaning in MEANINGS.items()))]
    parts += [
        "## The deployables",
        "`python -m service` and `python -m leader` take no arguments: everything is set by the environment. "
        "`--help` and `--version` exist. They need a migrated database (`ratchet migrate up`).",
    ]
    return "\n\n".join(part.rstrip() for part in parts)


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return {name: sub for action in actions for name, sub in action.choices.items()}


def parser_of(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    """Return the parser of one command."""
    return _subparsers(parser)[name]


def described(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the table of a command's arguments, if it has any."""
    rows = list(_rows(parser, ""))
    for action, sub in _subparsers(parser).items():
        rows += _rows(sub, f"{action} ")
    if rows:
        yield table(("argument", "needed", "meaning"), rows)


def _rows(parser: argparse.ArgumentParser, before: str) -> Iterator[Row]:
    """Yield the arguments of a parser; of an action that has none, the action. What is shared is left out."""
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction) or SHARED & {*action.option_strings}:
            continue
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                yield f"`{before}{choice.dest}`", "", choice.help or ""
            continue
        yield f"`{before}{_named(action)}`", "yes" if action.required else "", action.help or ""


def _named(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None:
        value = "|".join(str(choice) for choice in action.choices)
    if not action.option_strings:
        return value
    name = ", ".join(action.option_strings)
    return name if action.nargs == 0 else f"{name} {value}"
