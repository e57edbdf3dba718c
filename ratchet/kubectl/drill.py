"""`kubectl ratchet drill`: break something on purpose, under load, and judge what came of it."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.kubectl.drills.definitions import DRILLS, FAULT_COMMAND, Drill
from ratchet.kubectl.drills.record import keep
from ratchet.kubectl.drills.running import Drilling, Options
from ratchet.kubectl.drills.text import markdown
from ratchet.kubectl.main import release_of

EXAMPLES = """\
examples:
  kubectl ratchet drill --list                          what can be broken, and what has to hold then
  kubectl ratchet drill delete-leader                   once
  kubectl ratchet drill kill-leader --runs 10 --folder docs/drills
  kubectl ratchet drill api-outage --fault-command ./my-faults

Signals are sent all the time from a pod of its own, then the invariants are asked; two files with the report are left
in the folder. Ends with 1 unless the verdict is pass. Against a broker that is neither simulated nor in analyzer mode
it refuses, unless you write the release's name: --confirm-live NAME. Then it sends no signals, so nothing trades."""

FOLDER = Path("ratchet-drills")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("drill", nargs="?", choices=tuple(DRILLS), metavar="DRILL", help=f"one of {', '.join(DRILLS)}")
    parser.add_argument("--list", action="store_true", help="explain every drill: its hypothesis and its thresholds")
    parser.add_argument("--runs", type=_positive, default=1, metavar="N", help="how often (1)")
    parser.add_argument("--rate", type=float, default=5.0, metavar="R", help="signals sent a second (5)")
    parser.add_argument(
        "--settle", type=float, default=5.0, metavar="S", help="seconds between recovery and next run (5)"
    )
    parser.add_argument("--outage", type=float, default=20.0, metavar="S", help="seconds that api-outage lasts (20)")
    parser.add_argument("--folder", type=Path, default=FOLDER, metavar="DIR", help=f"where reports are kept ({FOLDER})")
    parser.add_argument("--fault-command", metavar="CMD", help="a command for what kubectl cannot do (see --list)")
    parser.add_argument("--note", default="", metavar="TEXT", help="a remark that the report keeps")
    parser.add_argument("--confirm-live", metavar="NAME", help="the release's name, to drill one whose broker is live")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """List drills, or go through one."""
    if args.list:
        _list(out)
        return Exit.OK
    if args.drill is None:
        raise CommandFailed(f"which drill? One of {', '.join(DRILLS)}; --list explains them", Exit.USAGE)
    drill = DRILLS[args.drill]
    release = release_of(args)
    product: dict[str, Any] = release.ask("status")
    live = is_live(product)
    if live and args.confirm_live != release.name:
        raise CommandFailed(
            f"the broker of release {release.name} is live ({live}): a drill breaks a system that trades with real "
            f"money. If that is what you want, write --confirm-live {release.name}; no signals are sent then",
            Exit.USAGE,
        )
    options = Options(
        runs=args.runs,
        rate=0.0 if live else args.rate,
        settle_seconds=args.settle,
        outage_seconds=args.outage,
        fault_command=args.fault_command,
        note=args.note,
    )
    with _ended_in_order():
        data = Drilling(drill, release, options, _say).go(product).data()
    text = markdown(data)
    files = keep(data, text, args.folder)
    if out.as_json:
        out.data(data)
    else:
        print(text)
        out.line(f"kept as {files[1]} and {files[0]}")
    return Exit.OK if data["verdict"] == "pass" else Exit.FOUND


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM end a drill as Ctrl-C does, so that what is broken is mended, and Ctrl-C even in the background."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_live(product: dict[str, Any]) -> str:
    """Return in words why real money could move; empty if it cannot. What is not known counts as live."""
    broker = product.get("health", {}).get("broker") or {}
    kind, mode = broker.get("kind"), broker.get("mode")
    return "" if kind == "simulator" or mode == "analyze" else f"kind {kind}, mode {mode}"


def _list(out: Output) -> None:
    if out.as_json:
        out.data([_row(drill) for drill in DRILLS.values()])
        return
    for drill in DRILLS.values():
        row = _row(drill)
        out.line(f"{drill.name}: {drill.does}")
        out.line(f"  {drill.hypothesis}")
        out.line(f"  {row['thresholds']}")
        out.line("")
    out.line(FAULT_COMMAND)


def _row(drill: Drill) -> dict[str, Any]:
    return {
        "drill": drill.name,
        "does": drill.does,
        "hypothesis": drill.hypothesis,
        "thresholds": thresholds(drill),
        "needs_fault_command": bool(drill.outside),
    }


def thresholds(drill: Drill) -> str:
    """Return what has to hold, in one sentence."""
    measure = "next epoch" if drill.measure == "takeover" else "longest wait of a sender"
    errors = "failed tries are repeated" if drill.client_errors is None else f"{drill.client_errors} failed tries"
    needs = "; needs --fault-command" if drill.outside else ""
    return (
        f"{measure} p95 at most {drill.limit_in_words}; 0 lost, 0 doubled, 0 writes under an older epoch, "
        f"0 violated invariants; {errors}{needs}"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
