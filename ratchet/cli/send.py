"""`ratchet send`: hand in samples, a file of messages, or a load, and say what became of them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from ratchet.cli import load
from ratchet.cli.connecting import connect_all
from ratchet.cli.courier import Courier, Delivery
from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.cli.samples import MARKETS, Market, Message, priced, samples
from ratchet.clock import SystemClock

EXAMPLES = """\
examples:
  ratchet send --samples                        one fresh signal per kind and instrument
  ratchet send signals.jsonl                    one message per line, as a chart would send it
  echo '{"type": ...}' | ratchet send -         the same from standard input
  ratchet send --samples --price COPPER=921.5   samples near another price
  ratchet send --load 1000 --duplicates 0.3 --to http://a:8080,http://b:8080 --wait
                                                1,000 messages, 300 of them repeats, to two services at once

A signal that is refused by a gate is no error: it was accepted, and its outcome says why.
The command ends with 1 if a message was refused, could not be handed in, or has no end in time."""

COLUMNS = ("instrument", "kind", "layer", "answer", "outcome", "reason")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", metavar="FILE", help="JSON messages, one per line; - reads standard input")
    what.add_argument("--samples", action="store_true", help="one valid fresh signal per kind and instrument")
    what.add_argument("--load", type=_count, metavar="N", help="N messages over generated accounts, repeats included")
    parser.add_argument("--to", metavar="URL[,URL]", help="services to send to, in turn (default: RATCHET_URL)")
    parser.add_argument("--account", help="the account to trade (default: the portfolio's default)")
    parser.add_argument("--strategy", help="the strategy to trade for (default: the portfolio's default)")
    parser.add_argument("--price", action="append", default=[], metavar="NAME=PRICE", help="price of an instrument")
    parser.add_argument("--within", type=float, default=120.0, metavar="S", help="seconds to wait for an outcome (120)")
    group = parser.add_argument_group("load")
    group.add_argument("--duplicates", type=_share, default=0.0, metavar="X", help="share of repeats, 0 to 0.5 (0)")
    group.add_argument("--accounts", type=_count, default=50, metavar="N", help="generated accounts load-01 ... (50)")
    group.add_argument("--concurrency", type=_count, default=32, metavar="N", help="lanes at one time (32)")
    group.add_argument("--seed", type=int, default=0, help="decides what is repeated, and when (0)")
    group.add_argument("--wait", action="store_true", help="wait for the end of every signal")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """Send, and print the outcomes."""
    clock = SystemClock()
    apis = connect_all([url for url in (args.to or "").split(",") if url])
    apis[0].read("/instruments", limit=1)  # tells a wrong address or token before anything is sent
    courier = Courier(apis, clock, strategy=args.strategy)
    markets = _markets(args.price)
    if args.load:
        return _load(args, out, courier, markets)
    messages = list(samples(clock.now(), markets)) if args.samples else list(_read(args.file))
    return _follow(messages, args, out, courier)


def _follow(messages: Sequence[Message], args: argparse.Namespace, out: Output, courier: Courier) -> Exit:
    clock = SystemClock()
    with out.progress("sending", len(messages)) as bar:
        deliveries = []
        for message in messages:
            deliveries.append(courier.deliver(message, args.account))
            if bar:
                bar.advance(bar.task_ids[0])
    with out.progress("waiting for outcomes", len(deliveries)) as bar:
        give_up = clock.monotonic() + args.within
        for delivery in deliveries:
            courier.follow(delivery, within_seconds=give_up - clock.monotonic())
            if bar:
                bar.advance(bar.task_ids[0])
    out.rows("Outcomes", (*COLUMNS, "id") if not out.interactive else COLUMNS, [d.row() for d in deliveries])
    out.remark("ratchet positions shows what is open; GET /signals/{id} the history of one signal")
    return Exit.OK if all(_well(delivery) for delivery in deliveries) else Exit.FOUND


def _load(args: argparse.Namespace, out: Output, courier: Courier, markets: Sequence[Market]) -> Exit:
    lanes = load.plan(
        total=args.load, duplicates=args.duplicates, accounts=args.accounts, seed=args.seed, markets=markets
    )
    out.remark(f"{args.load} messages over {len(lanes)} lanes, seed {args.seed}")
    with out.progress("sending", args.load) as bar:
        sender = load.Load(
            courier,
            SystemClock(),
            concurrency=args.concurrency,
            wait_seconds=args.within,
            on_delivery=(lambda: bar.advance(bar.task_ids[0])) if bar else lambda: None,
        )
        report = sender.run(lanes, wait_for_all=args.wait)
    endless = [d for d in report.deliveries if d.accepted and not d.ended] if args.wait else []
    bad = report.answers["unsent"] + report.answers["refused"] + len(report.split) + len(endless)
    if out.as_json:
        out.data(_summary(args, report, endless))
    else:
        out.facts(_facts(args, report, endless))
        rows = [
            {"kind": kind, "outcome": outcome, "reason": reason, "signals": count}
            for (kind, outcome, reason), count in sorted(report.reasons.items())
        ]
        out.rows("Distinct signals", ("kind", "outcome", "reason", "signals"), rows)
    for delivery in [d for d in report.deliveries if not d.accepted][:5]:
        out.error(f"{delivery.message.kind} {delivery.message.instrument} for {delivery.account}: {delivery.problem}")
    return Exit.FOUND if bad else Exit.OK


def _facts(args: argparse.Namespace, report: load.Report, endless: Iterable[Delivery]) -> dict[str, object]:
    answers = report.answers
    return {
        "messages": len(report.deliveries),
        "distinct signals": report.distinct,
        "answers": ", ".join(f"{name} {count}" for name, count in sorted(answers.items())),
        "more than one id": len(report.split),
        "without an end": len(list(endless)) if args.wait else "not asked for (--wait)",
        "seconds": f"{report.seconds:.1f}",
        "seed": args.seed,
    }


def _summary(args: argparse.Namespace, report: load.Report, endless: Sequence[Delivery]) -> dict[str, object]:
    return {
        "messages": len(report.deliveries),
        "distinct": report.distinct,
        "answers": report.answers,
        "outcomes": report.outcomes,
        "split": report.split,
        "endless": [delivery.id for delivery in endless],
        "seconds": round(report.seconds, 3),
        "seed": args.seed,
    }


def _well(delivery: Delivery) -> bool:
    return delivery.ended and delivery.outcome != "review"


def _read(name: str) -> Iterable[Message]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"cannot read {name}: {error}", Exit.USAGE) from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            body = json.loads(line, parse_float=str)
        except ValueError as error:
            raise CommandFailed(f"{name}, line {number}: not JSON: {error}", Exit.USAGE) from error
        if not isinstance(body, dict):
            raise CommandFailed(f"{name}, line {number}: a message is an object in braces", Exit.USAGE)
        yield Message(body)


def _markets(prices: Sequence[str]) -> tuple[Market, ...]:
    wanted: dict[str, Decimal] = {}
    for text in prices:
        name, _, price = text.partition("=")
        try:
            wanted[name.upper()] = Decimal(price)
        except InvalidOperation:
            raise CommandFailed(f"--price {text}: write NAME=PRICE, such as COPPER=921.5", Exit.USAGE) from None
    try:
        return priced(wanted)
    except KeyError as error:
        known = ", ".join(market.instrument for market in MARKETS)
        raise CommandFailed(f"--price: unknown instrument {error}; known: {known}", Exit.USAGE) from None


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 0.5:
        raise argparse.ArgumentTypeError("0 to 0.5")
    return share
