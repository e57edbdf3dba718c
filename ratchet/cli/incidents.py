"""`ratchet incidents`: what a person must look at, and what the person decides."""

from __future__ import annotations

import argparse
import asyncio
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from ratchet.bootstrap import open_runtime
from ratchet.cli.database import check_schema, person, with_database
from ratchet.cli.embedded import beside_broker
from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.config import load_settings
from ratchet.domain.identity import BrokerOrderId
from ratchet.domain.orders import IntentState
from ratchet.domain.signals import TERMINAL, SignalStatus
from ratchet.execution.decide import ORDER_ENDS, CannotDecide, Decided, Decision, decide
from ratchet.persistence import incidents
from ratchet.persistence.database import Database
from ratchet.persistence.errors import PersistenceError
from ratchet.persistence.lists import INCIDENTS, page

EXAMPLES = """\
examples:
  ratchet incidents list                      what is open
  ratchet incidents show 6f3d...              one, with everything that is known
  ratchet incidents decide 6f3d... --why "sold by hand at the broker"
                                              close one that has no order or signal in review
  ratchet incidents decide 6f3d... --why "order 2101 in the book" --order FILLED --price 134873 --signal executed
                                              its order was filled after all: it is booked, and the signal ends
  ratchet incidents decide 6f3d... --why "broker's desk: never arrived" --order NOT_PLACED --signal failed

While an incident is open, nothing is sent for its contract and side. Look at the broker's own book before you decide:
what you say is booked as if the broker had said it, and cannot be taken back."""

_COLUMNS = ("opened_at", "account", "kind", "symbol", "side", "summary", "id")
_CLOSED = ("closed_by", "decision")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = commands.add_parser("list", help="list open incidents")
    listed.add_argument("--all", action="store_true", help="decided ones too")
    listed.add_argument("--account", help="only this account's")
    listed.add_argument("--most", type=int, default=200, metavar="N", help="rows at the most (200)")
    show = commands.add_parser("show", help="show one incident")
    show.add_argument("id", type=UUID, help="its id")
    how = commands.add_parser("decide", help="decide and close one")
    how.add_argument("id", type=UUID, help="its id")
    how.add_argument("--why", required=True, metavar="TEXT", help="what you found; it is journalled")
    how.add_argument("--order", choices=sorted(map(str, ORDER_ENDS)), help="what became of its order")
    how.add_argument("--filled", type=int, metavar="UNITS", help="units filled in all (FILLED: the whole order)")
    how.add_argument("--price", metavar="PRICE", help="average price of what was filled")
    how.add_argument("--order-id", metavar="ID", help="which of the broker's orders it is, where we know none")
    how.add_argument("--signal", choices=sorted(map(str, TERMINAL)), help="how its signal ends")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """List, show or decide."""
    match args.action:
        case "list":
            return _list(args, out)
        case "show":
            return _show(args, out)
        case _:
            return _decide(args, out)


def _list(args: argparse.Namespace, out: Output) -> Exit:
    where: dict[str, Any] = {} if args.all else {"open": True}
    if args.account:
        where["account"] = args.account

    async def work(db: Database) -> list[dict[str, Any]]:
        async with db.reading() as tx:
            return [dict(row) for row in (await page(tx, INCIDENTS, where=where, after=None, limit=args.most)).rows]

    rows = with_database(work)
    out.rows("Incidents", (*_COLUMNS, *_CLOSED) if args.all else _COLUMNS, rows)
    return Exit.OK


def _show(args: argparse.Namespace, out: Output) -> Exit:
    async def work(db: Database) -> dict[str, Any] | None:
        async with db.reading() as tx:
            row = await incidents.get(tx, args.id)
        return None if row is None else dict(row)

    row = with_database(work)
    if row is None:
        raise CommandFailed(f"there is no incident {args.id}", Exit.USAGE)
    out.facts(row)
    return Exit.OK


def _decide(args: argparse.Namespace, out: Output) -> Exit:
    try:
        decision = Decision(
            text=args.why,
            by=person(),
            order=IntentState(args.order) if args.order else None,
            filled=args.filled,
            average=Decimal(args.price) if args.price else None,
            order_id=BrokerOrderId(args.order_id) if args.order_id else None,
            signal=SignalStatus(args.signal) if args.signal else None,
        )
    except InvalidOperation:
        raise CommandFailed(f"--price {args.price} is no number", Exit.USAGE) from None
    try:
        decided = asyncio.run(_carry_out(args.id, decision))
    except CannotDecide as error:
        raise CommandFailed(str(error), Exit.USAGE) from error
    except PersistenceError as error:
        raise CommandFailed(f"the database: {error}", Exit.UNREACHABLE) from error
    out.facts({"incident": decided.incident, "order": decided.order, "signal": decided.signal})
    return Exit.OK


async def _carry_out(incident: UUID, decision: Decision) -> Decided:
    settings = load_settings(require_tokens=False)
    await asyncio.to_thread(check_schema, settings.database_address)
    async with beside_broker(settings) as found, open_runtime(found, role="cli") as rt:
        return await decide(rt, incident, decision)
