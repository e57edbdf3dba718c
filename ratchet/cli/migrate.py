"""`ratchet migrate`: bring the database to a revision of the schema, or say where it is."""

from __future__ import annotations

import argparse

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.config import load_settings
from ratchet.persistence import migrate
from ratchet.persistence.errors import PersistenceError

EXAMPLES = """\
examples:
  ratchet migrate up                  to the newest schema; safe to run again, and by several at once
  ratchet migrate check               say where the database is; ends with 1 if it is behind
  ratchet migrate down 0001 --yes     back to an earlier revision; data that it does not know is lost

The database is the one of RATCHET_DATABASE_URL; without it, the SQLite file in RATCHET_HOME."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    up = commands.add_parser("up", help="upgrade")
    up.add_argument("revision", nargs="?", default="head", help="the revision to reach (the newest)")
    up.add_argument("--wait", type=float, default=30.0, metavar="S", help="seconds to wait for the database (30)")
    down = commands.add_parser("down", help="downgrade")
    down.add_argument("revision", help="the revision to reach; base removes everything")
    down.add_argument("--yes", action="store_true", help="yes, data may be lost")
    commands.add_parser("check", help="say where the database is")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """Migrate, and print where the database is now."""
    url = load_settings(require_tokens=False).database_address
    try:
        match args.action:
            case "up":
                status = migrate.up(url, args.revision, wait_seconds=args.wait)
            case "down":
                if not args.yes:
                    raise CommandFailed("a downgrade may lose data: say --yes", Exit.USAGE)
                status = migrate.down(url, args.revision)
            case _:
                status = migrate.check(url)
    except migrate.UnknownRevision as error:
        raise CommandFailed(str(error), Exit.USAGE) from error
    except PersistenceError as error:
        raise CommandFailed(str(error), Exit.UNREACHABLE) from error
    out.facts({"revision": status.current, "newest": status.head, "ok": status.ok})
    return Exit.OK if status.ok or args.action == "down" else Exit.FOUND
