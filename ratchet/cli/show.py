"""`ratchet status`, `ratchet positions`, `ratchet signals`: what a running service says of itself and of its work."""

from __future__ import annotations

import argparse
from decimal import Decimal

from ratchet.cli.connecting import add_url, connect
from ratchet.cli.exits import Exit
from ratchet.cli.output import Output
from ratchet.domain.signals import SignalStatus

STATUS_EXAMPLES = """\
examples:
  ratchet status                             the service on this machine
  ratchet status --url http://10.0.0.5:8080  another one
  ratchet status --json | jq .health.database

Ends with 1 if the service is not well or an incident waits for a person."""

POSITIONS_EXAMPLES = """\
examples:
  ratchet positions                             every open layer
  ratchet positions --all --instrument COPPER   with the closed ones, of one instrument
  ratchet positions --json | jq '.[].holdings'"""

SIGNALS_EXAMPLES = """\
examples:
  ratchet signals                                  the newest
  ratchet signals --status review                  those that wait for a person
  ratchet signals --instrument COPPER --json | jq '.[].reason'"""

MOST = 500
WAITING = (SignalStatus.ACCEPTED, SignalStatus.PROCESSING, SignalStatus.REVIEW)

_POSITION = ("account", "instrument", "layer", "status", "lots", "entry_price", "stop", "realised", "holds", "entry_at")
_SIGNAL = ("received_at", "account", "instrument", "kind", "layer", "status", "reason", "id")
_PORTFOLIO = ("account", "closed_equity", "used", "reserved", "margin_limit")


def add_status(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_url(parser)


def status(args: argparse.Namespace, out: Output) -> Exit:
    """Print health, portfolios and open incidents."""
    api = connect(args)
    health = api.read("/health")
    portfolios = list(api.pages("/portfolio", most=MOST))
    incidents = list(api.pages("/incidents", most=MOST, open=True))
    queue = {str(status): sum(1 for _ in api.pages("/signals", most=MOST, status=status)) for status in WAITING}
    if out.as_json:
        out.data({"health": health, "portfolios": portfolios, "open_incidents": incidents, "queue": queue})
    else:
        out.facts({"service": api.url, **health})
        traded = [row for row in portfolios if Decimal(row["margin_limit"])]
        out.rows("Accounts", _PORTFOLIO, traded or portfolios[:1])
        if idle := len(portfolios) - max(1, len(traded)):
            out.remark(f"and {idle} accounts that have not traded yet (--json has them)")
        out.line("queue: " + ", ".join(f"{count} {status}" for status, count in queue.items()))
        out.line(f"open incidents: {len(incidents)}" + (" (ratchet incidents list)" if incidents else ""))
    return Exit.OK if health.get("status") == "ok" and not incidents else Exit.FOUND


def add_positions(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_url(parser)
    parser.add_argument("--account", help="only this account's")
    parser.add_argument("--instrument", help="only this instrument's")
    parser.add_argument("--all", action="store_true", help="closed ones too")
    parser.add_argument("--most", type=int, default=500, metavar="N", help="rows at the most (500)")


def positions(args: argparse.Namespace, out: Output) -> Exit:
    """Print positions."""
    api = connect(args)
    live = None if args.all else True
    instrument = args.instrument.upper() if args.instrument else None
    found = list(api.pages("/positions", most=args.most, account=args.account, instrument=instrument, live=live))
    if out.as_json:
        out.data(found)
        return Exit.OK
    for row in found:
        row["layer"] = f"Long_{row['layer']}"
        row["holds"] = " ".join(f"{h['quantity']:+d} {h['symbol']}" for h in row["holdings"])
        row["entry_at"] = row["entry_at"][:19]
    out.rows("Positions", _POSITION, found)
    return Exit.OK


def add_signals(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_url(parser)
    parser.add_argument("--account", help="only this account's")
    parser.add_argument("--instrument", help="only this instrument's")
    parser.add_argument("--status", choices=[str(status) for status in SignalStatus], help="only these")
    parser.add_argument("--most", type=int, default=20, metavar="N", help="rows at the most (20)")


def signals(args: argparse.Namespace, out: Output) -> Exit:
    """Print signals, newest first."""
    instrument = args.instrument.upper() if args.instrument else None
    asked = {"account": args.account, "instrument": instrument, "status": args.status}
    found = list(connect(args).pages("/signals", most=args.most, **asked))
    if not out.as_json:
        for row in found:
            row["received_at"] = row["received_at"][:19]
    out.rows("Signals", _SIGNAL, found)
    return Exit.OK
