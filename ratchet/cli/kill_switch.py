"""`ratchet kill-switch`: stop sending, from the moment this command has answered."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from ratchet.cli.database import person, with_database
from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.execution import switch
from ratchet.execution.switch import Level
from ratchet.persistence import control, intents
from ratchet.persistence.database import Database

EXAMPLES = """\
examples:
  ratchet kill-switch show
  ratchet kill-switch on --reason "odd fills"          no entry is sent any more; exits go on
  ratchet kill-switch on --all --reason "wrong broker" nothing is sent at all
  ratchet kill-switch on --cancel --reason "odd fills" and what still works at the broker is cancelled
  ratchet kill-switch off --reason "looked into it"    everything may be sent again

When `on` has answered, no further order is permitted by any pod. It lists the orders that were on their way before:
they may still reach the broker, and are followed to their end. `off` closes the incidents that say why sending was
stopped by itself."""

_COLUMNS = ("account", "symbol", "side", "quantity", "state", "broker_order_id", "id")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    commands.add_parser("show", help="say what may be sent")
    on = commands.add_parser("on", help="stop sending")
    on.add_argument("--all", action="store_true", help="exits as well")
    on.add_argument("--cancel", action="store_true", help="cancel working orders of what is stopped, too")
    on.add_argument("--reason", required=True, help="why; it is journalled")
    off = commands.add_parser("off", help="permit sending")
    off.add_argument("--reason", required=True, help="why; it is journalled")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """Switch, and print what holds then and which orders were on their way."""
    if args.action != "show" and not args.reason.strip():
        raise CommandFailed("--reason: say why, for the journal", Exit.USAGE)

    async def work(db: Database) -> tuple[control.Control, list[dict[str, Any]]]:
        if args.action != "show":
            await _switch(db, args)
        async with db.reading() as tx:
            orders = [
                {column: getattr(intent, column) for column in _COLUMNS} for intent in await intents.on_the_way(tx)
            ]
            return await control.read(tx), orders

    state, orders = with_database(work)
    if out.as_json:
        out.data({**asdict(state), "on_the_way": orders})
    else:
        out.facts(asdict(state))
        out.rows("On their way", _COLUMNS, orders)
    return Exit.OK


async def _switch(db: Database, args: argparse.Namespace) -> None:
    """Set the switches. Raises CommandFailed if the commit's answer was lost and the old value still holds."""
    async with db.transaction(name="kill-switch-before") as tx:
        exits_on = (await control.read(tx)).exits_on
    stop = Level.ALL_OFF if args.action == "on" and (args.all or not exits_on) else Level.ENTRIES_OFF
    level = Level.ON if args.action == "off" else stop
    done = await switch.switch(db, level, reason=args.reason, by=person())
    if not done.took_effect:
        raise CommandFailed(
            "the connection was lost, and nothing was switched: give the command again", Exit.UNREACHABLE
        )
    if args.action == "on" and args.cancel:
        await switch.cancel_working(db, exits_too=level is Level.ALL_OFF)
