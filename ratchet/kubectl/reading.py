"""`kubectl ratchet signals`, `incidents`, `verify`: what the product knows, asked inside a pod."""

from __future__ import annotations

import argparse
from typing import Any

from ratchet.cli.exits import Exit
from ratchet.cli.output import Output
from ratchet.domain.signals import SignalStatus
from ratchet.kubectl.main import release_of

SIGNALS_EXAMPLES = """\
examples:
  kubectl ratchet signals                       the newest twenty
  kubectl ratchet signals --status review       those that wait for a person
  kubectl ratchet signals --instrument COPPER --most 100 -o json"""

INCIDENTS_EXAMPLES = """\
examples:
  kubectl ratchet incidents                     what is open
  kubectl ratchet incidents --all               decided ones too
  kubectl ratchet incidents 6f3d...             one, with everything that is known
  kubectl exec deploy/ratchet-signals -- ratchet incidents decide 6f3d... --why "..."
                                                decide it: look at the broker's own book first

Ends with 1 if an incident is open."""

VERIFY_EXAMPLES = """\
examples:
  kubectl ratchet verify                        every invariant; ends with 1 if one is violated
  kubectl ratchet verify --rows 20 -o json

Reads the database and the broker's order book from inside a pod; changes nothing. Run it when nothing is in work."""

VERIFY_SECONDS = 180.0
_SIGNAL = ("received_at", "account", "instrument", "kind", "layer", "status", "reason", "id")
_INCIDENT = ("opened_at", "account", "kind", "symbol", "side", "summary", "id")


def add_signals(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--account", help="only this account's")
    parser.add_argument("--instrument", help="only this instrument's")
    parser.add_argument("--status", choices=[str(status) for status in SignalStatus], help="only these")
    parser.add_argument("--most", type=int, default=20, metavar="N", help="rows at the most (20)")


def signals(args: argparse.Namespace, out: Output) -> Exit:
    """Print signals, newest first."""
    words = ["signals", "--most", str(args.most)]
    for name in ("account", "instrument", "status"):
        if (value := getattr(args, name)) is not None:
            words += [f"--{name}", value]
    rows: list[dict[str, Any]] = release_of(args).ask(*words)
    if not rows and not out.as_json:
        out.line("no signals")
        return Exit.OK
    out.rows("Signals", _SIGNAL, rows)
    return Exit.OK


def add_incidents(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("id", nargs="?", metavar="ID", help="show this one")
    parser.add_argument("--all", action="store_true", help="decided ones too")


def incidents(args: argparse.Namespace, out: Output) -> Exit:
    """List incidents, or show one."""
    release = release_of(args)
    if args.id is not None:
        out.facts(release.ask("incidents", "show", args.id))
        return Exit.OK
    rows: list[dict[str, Any]] = release.ask("incidents", "list", *(["--all"] if args.all else []))
    if not rows and not out.as_json:
        out.line("no incidents" if args.all else "no open incidents")
        return Exit.OK
    out.rows("Incidents", (*_INCIDENT, "closed_by", "decision") if args.all else _INCIDENT, rows)
    return Exit.FOUND if any(not row.get("closed_by") for row in rows) else Exit.OK


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--rows", type=int, default=3, metavar="N", help="rows shown of each violated invariant (3)")


def verify(args: argparse.Namespace, out: Output) -> Exit:
    """Print each invariant with its count of violations."""
    found: list[dict[str, Any]] = release_of(args).ask("verify", "--rows", str(args.rows), seconds=VERIFY_SECONDS)
    violated = [one for one in found if one["count"]]
    if out.as_json:
        out.data(found)
        return Exit.FOUND if violated else Exit.OK
    rows = [
        {
            "invariant": one["invariant"],
            "violations": one["count"],
            "result": "violated" if one["count"] else "skipped" if one["skipped"] else "ok",
            "meaning": one["skipped"] or one["meaning"],
        }
        for one in found
    ]
    out.rows("Invariants", ("invariant", "violations", "result", "meaning"), rows)
    for one in violated:
        for row in one["rows"]:
            out.line(f"{one['invariant']}: {row}")
    skipped = sum(one["skipped"] is not None for one in found)
    out.line(f"{len(found) - skipped} invariants asked, {len(violated)} violated, {skipped} skipped")
    return Exit.FOUND if violated else Exit.OK
