"""Completion in a shell: kubectl runs `kubectl_complete-ratchet` with the words so far and prints what it offers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

from ratchet.cli.output import CommandFailed
from ratchet.kubectl.commands import COMMANDS
from ratchet.kubectl.kubectl import Kubectl
from ratchet.kubectl.main import build_parser

NO_FILES = ":4"
FILES = ":0"
"""The last line: whether the shell may offer names of files as well, in the words of the library that kubectl uses."""

ASK_SECONDS = 3.0
_ASKED = {"namespace": "namespaces", "context": "contexts", "release": "releases", "to": "leaders", "node": "nodes"}
_OF_FILES = {"kubeconfig", "folder", "path", "fault_command"}


def complete(arguments: Sequence[str] | None = None) -> int:
    """Print what may stand at the place of the last word, one a line, and what the shell is to do besides."""
    words = list(sys.argv[1:] if arguments is None else arguments) or [""]
    offered, last_line = offers(words)
    for offer in sorted({offer for offer in offered if offer.startswith(words[-1])}):
        print(offer)
    print(last_line)
    return 0


def offers(words: Sequence[str]) -> tuple[Iterable[str], str]:
    """Return what could stand at the place of the last word, and the last line."""
    before, current = words[:-1], words[-1]
    command = next((word for word in before if any(word == one.name for one in COMMANDS)), None)
    parser = build_parser(before)
    if command is not None:
        parser = _subparsers(parser)[command]
    flags = {option: action for action in parser._actions for option in action.option_strings}
    asking = flags.get(before[-1]) if before else None
    if asking is not None and asking.nargs != 0:
        return _values(asking, before)
    if current.startswith("-"):
        return flags, NO_FILES
    if command is None:
        return [one.name for one in COMMANDS], NO_FILES
    named = next((action for action in parser._actions if not action.option_strings), None)
    return _values(named, before) if named is not None else ([], NO_FILES)


def _values(action: argparse.Action, before: Sequence[str]) -> tuple[Iterable[str], str]:
    if action.choices is not None:
        return [str(choice) for choice in action.choices], NO_FILES
    if action.dest in _OF_FILES:
        return [], FILES
    return (_from_cluster(_ASKED[action.dest], before) if action.dest in _ASKED else []), NO_FILES


def _from_cluster(what: str, before: Sequence[str]) -> list[str]:
    """Ask the cluster; a completion that cannot be had is none, never a complaint."""
    part = "app.kubernetes.io/part-of=ratchet"
    calls = {
        "namespaces": ("get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}"),
        "contexts": ("config", "get-contexts", "-o", "name"),
        "nodes": ("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"),
        "releases": (
            "get", "deployments", "-l", part,
            "-o", r"jsonpath={.items[*].metadata.labels.app\.kubernetes\.io/instance}",
        ),
        "leaders": (
            "get", "pods", "-l", "app.kubernetes.io/component=leader", "-o", "jsonpath={.items[*].metadata.name}",
        ),
    }  # fmt: skip
    kube = Kubectl(
        namespace=_given(before, "-n", "--namespace"),
        context=_given(before, "--context"),
        kubeconfig=_given(before, "--kubeconfig"),
    )
    try:
        return kube.text(*calls[what], seconds=ASK_SECONDS).split()
    except CommandFailed:
        return []


def _given(words: Sequence[str], *names: str) -> str | None:
    return next((words[at + 1] for at, word in enumerate(words[:-1]) if word in names), None)


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return {name: sub for action in actions for name, sub in action.choices.items()}
