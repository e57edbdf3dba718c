"""`ratchet kill-switch`: stop sending, from the moment this command has answered."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from ratchet.cli.database import person, with_database
from ratchet.cli.exits import Exit
from ratchet.cli.output import Output
from ratchet.domain.orders import IN_FLIGHT, IntentState
from ratchet.persistence import control
from ratchet.persistence.database import Database
from ratchet.persistence.lists import ORDERS, page
from ratchet.persistence.transaction import Transaction

EXAMPLES = """\
examples:
  ratchet kill-switch show
  ratchet kill-switch on --reason "odd fills"          no entry is sent any more; exits go on
  ratchet kill-switch on --all --reason "wrong broker" nothing is sent at all
  ratchet kill-switch off --reason "looked into it"    everything may be sent again

When `on` has answered, no further order is permitted by any pod. It lists the orders that were on their way before:
they may still reach the broker, and are followed to their end."""

_ON_THE_WAY = tuple(sorted(IN_FLIGHT - {IntentState.PENDING}))
_COLUMNS = ("account", "symbol", "side", "quantity", "state", "broker_order_id", "id")
_MOST = 500


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    commands.add_parser("show", help="say what may be sent")
    on = commands.add_parser("on", help="stop sending")
    on.add_argument("--all", action="store_true", help="exits as well")
    on.add_argument("--reason", required=True, help="why; it is journalled")
    off = commands.add_parser("off", help="permit sending")
    off.add_argument("--reason", required=True, help="why; it is journalled")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """Switch, and print what holds then and which orders were on their way."""

    async def work(db: Database) -> tuple[control.Control, list[dict[str, Any]]]:
        if args.action != "show":
            await _switch(db, args)
        async with db.reading() as tx:
            return await control.read(tx), await _on_the_way(tx)

    state, orders = with_database(work)
    if out.as_json:
        out.data({**asdict(state), "on_the_way": orders})
    else:
        out.facts(asdict(state))
        out.rows("On their way", _COLUMNS, orders)
    return Exit.OK


async def _switch(db: Database, args: argparse.Namespace) -> None:
    """Set the switches. A commit in doubt is made again, which changes nothing if it had been done."""
    off = args.action == "off"

    async def work(tx: Transaction) -> None:
        before = await control.read(tx)
        await control.switch(
            tx,
            entries_on=off,
            exits_on=off or (before.exits_on and not args.all),
            reason=args.reason,
            actor=person(),
        )

    await db.run(work, name="kill switch")


async def _on_the_way(tx: Transaction) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for state in _ON_THE_WAY:
        rows = (await page(tx, ORDERS, where={"state": str(state)}, after=None, limit=_MOST)).rows
        found += [{column: row[column] for column in _COLUMNS} for row in rows]
    return found
