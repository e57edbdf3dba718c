"""Reads the command line, runs the command, and turns what went wrong into one sentence and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import ratchet
from ratchet.cli.commands import COMMANDS, Command
from ratchet.cli.exits import MEANINGS, Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.config import ConfigurationError

_ABOUT = """\
Executes trading signals exactly once.

A first try, in two terminals:
  ratchet run                  everything in one process, with a simulated broker
  ratchet send --samples       one signal of each kind; says what became of them"""

_COMMON = """
Settings are RATCHET_... in the environment: `ratchet config show`. --json prints data for programs; in a pipe, tables
become lines with tabs. `ratchet COMMAND --help` has examples.

exit codes:
{codes}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser(given)
    args = parser.parse_args(given)
    out = Output(as_json=args.json)
    command: Command = args.command
    try:
        return command.function()(args, out)
    except CommandFailed as failure:
        out.error(str(failure))
        return failure.exit_code
    except ConfigurationError as error:
        out.error(str(error))
        return Exit.CONFIGURATION
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; what is left in the buffer has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def build_parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser. Only the command that stands in `given` is declared in full."""
    codes = "\n".join(f"  {code.value:3}  {meaning}" for code, meaning in MEANINGS.items())
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    parser = argparse.ArgumentParser(
        prog="ratchet",
        description=_ABOUT,
        epilog=_COMMON.format(codes=codes),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ratchet {ratchet.__version__}")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help[0].upper() + command.help[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )
        sub.set_defaults(command=command)
        if command.name in given:
            command.declare(sub)
            _share_json(sub)
    return parser


def _share_json(parser: argparse.ArgumentParser) -> None:
    """Let --json stand behind the action of a command (`ratchet migrate check --json`) as well as before it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for nested in action.choices.values():
                nested.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
