"""`ratchet config`: check the settings and the portfolio file, show what holds."""

from __future__ import annotations

import argparse

from ratchet.cli.exits import Exit
from ratchet.cli.output import Output
from ratchet.config import load_settings
from ratchet.config.portfolio import load_portfolio
from ratchet.config.reference import describe

EXAMPLES = """\
examples:
  ratchet config check                            say everything that is wrong, with the way out; ends with 4
  ratchet config show                             every setting and its value; secrets only say whether they are set
  ratchet config show --json | jq .RATCHET_HTTP_PORT"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    commands.add_parser("check", help="check the settings and the portfolio file together")
    commands.add_parser("show", help="print every setting with its present value")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """Load everything; what is wrong is raised as ConfigurationError."""
    settings = load_settings()
    loaded = load_portfolio(settings)
    if args.action == "show":
        out.facts(describe(settings))
        return Exit.OK
    facts = {
        "ok": True,
        "mode": "embedded" if settings.embedded else "distributed",
        "broker": str(settings.broker_kind),
        "redis": settings.redis_url is not None,
        "accounts": len(loaded.portfolio.accounts),
        "strategies": ", ".join(loaded.strategies),
        "instruments": ", ".join(loaded.portfolio.instruments),
        "webhook_tokens": len(loaded.webhook_tokens),
    }
    out.facts(facts)
    return Exit.OK
