"""`kubectl ratchet freeze`, `thaw`: the kill switch, with the name of whoever turned it."""

from __future__ import annotations

import argparse
from typing import Any

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.kubectl.kubectl import Kubectl
from ratchet.kubectl.main import release_of

FREEZE_EXAMPLES = """\
examples:
  kubectl ratchet freeze --reason "odd fills"            no entry is sent any more; exits go on
  kubectl ratchet freeze --all --reason "wrong broker"   nothing is sent at all
  kubectl ratchet freeze --cancel --reason "odd fills"   and what still works at the broker is cancelled

When it has answered, no further order is permitted by any pod. It lists the orders that were on their way before.
`kubectl ratchet status` and /health show it within a second or two."""

THAW_EXAMPLES = """\
examples:
  kubectl ratchet thaw --reason "looked into it"         everything may be sent again"""

_ORDER = ("account", "symbol", "side", "quantity", "state", "broker_order_id", "id")


def add_freeze(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--all", action="store_true", help="exits as well")
    parser.add_argument("--cancel", action="store_true", help="cancel working orders of what is stopped, too")
    parser.add_argument("--reason", required=True, help="why; it is journalled, with your name")


def add_thaw(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--reason", required=True, help="why; it is journalled, with your name")


def freeze(args: argparse.Namespace, out: Output) -> Exit:
    """Stop sending."""
    flags = [flag for flag, wanted in (("--all", args.all), ("--cancel", args.cancel)) if wanted]
    return _switch(args, out, "on", *flags)


def thaw(args: argparse.Namespace, out: Output) -> Exit:
    """Permit sending."""
    return _switch(args, out, "off")


def _switch(args: argparse.Namespace, out: Output, action: str, *flags: str) -> Exit:
    if not args.reason.strip():
        raise CommandFailed("--reason: say why, for the journal", Exit.USAGE)
    release = release_of(args)
    reason = f"{args.reason.strip()} (by {whoever(release.kube)})"
    found: dict[str, Any] = release.ask("kill-switch", action, *flags, "--reason", reason)
    if out.as_json:
        out.data(found)
        return Exit.OK
    orders = found.pop("on_the_way")
    out.facts(found)
    if orders:
        out.rows("On their way", _ORDER, orders)
    else:
        out.line("no order was on its way")
    return Exit.OK


def whoever(kube: Kubectl) -> str:
    """Return as whom the cluster knows the person, or that it does not tell."""
    try:
        user = kube.json("auth", "whoami")["status"]["userInfo"]["username"]
    except (CommandFailed, KeyError):
        return "kubectl, user unknown"
    return f"kubectl, {user}"
