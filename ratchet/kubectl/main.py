"""Reads the command line of `kubectl ratchet`, runs the command, and turns what went wrong into one sentence."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import ratchet
from ratchet.cli.commands import Command
from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.kubectl.commands import COMMANDS
from ratchet.kubectl.kubectl import Kubectl
from ratchet.kubectl.release import Release, find

MEANINGS = {
    Exit.OK: "done, and nothing to complain about",
    Exit.FOUND: "done, but a person should look: trouble, a violation, a drill that did not pass; or nothing was found",
    Exit.USAGE: "the command line makes no sense",
    Exit.UNREACHABLE: "the API server or a pod does not answer, or you are not allowed to ask",
    Exit.CONFIGURATION: "the settings inside the pod cannot be used",
    Exit.INTERRUPTED: "stopped by Ctrl-C",
}

_ABOUT = """\
Looks after a release of Ratchet in a cluster, with kubectl as you have it.

  kubectl ratchet status -n trading        one screen; -w keeps it up to date
  kubectl ratchet drill --list             what can be broken on purpose, and what has to hold then"""

_COMMON = """
Flags stand behind the command. `kubectl ratchet COMMAND --help` has examples.

exit codes:
{codes}"""

_NOTHING_CHOSEN = {"namespace": None, "context": None, "kubeconfig": None, "output": "text", "release": None}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = build_parser(given).parse_args(given, argparse.Namespace(**_NOTHING_CHOSEN))
    out = Output(as_json=args.output == "json")
    command: Command = args.command
    try:
        return command.function()(args, out)
    except CommandFailed as failure:
        out.error(str(failure))
        return failure.exit_code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; what is left in the buffer has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def build_parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser. Only the command that stands in `given` is declared in full."""
    common = _common()
    codes = "\n".join(f"  {code.value:3}  {meaning}" for code, meaning in MEANINGS.items())
    parser = argparse.ArgumentParser(
        prog="kubectl ratchet",
        description=_ABOUT,
        epilog=_COMMON.format(codes=codes),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"kubectl-ratchet {ratchet.__version__}")
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
    return parser


def kubectl_of(args: argparse.Namespace) -> Kubectl:
    """Return kubectl as the command line wants it."""
    return Kubectl(namespace=args.namespace, context=args.context, kubeconfig=args.kubeconfig)


def release_of(args: argparse.Namespace) -> Release:
    """Return the release that the command line means. Raises CommandFailed."""
    return find(kubectl_of(args), args.release)


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = common.add_argument_group("where, and how it is printed")
    group.add_argument("-n", "--namespace", metavar="NAME", help="the namespace (the context's)")
    group.add_argument("--context", metavar="NAME", help="the context of the kubeconfig (the current one)")
    group.add_argument("--kubeconfig", metavar="FILE", help="the kubeconfig (KUBECONFIG, else ~/.kube/config)")
    group.add_argument("--release", metavar="NAME", help="the release, where a namespace has several")
    group.add_argument("-o", "--output", choices=("text", "json"), help="text or json (text)")
    return common
