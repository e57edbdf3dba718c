"""`ratchet verify`: run the invariants against the database and the broker's book, and print each with its count."""

from __future__ import annotations

import argparse
import asyncio

from ratchet.bootstrap import open_runtime
from ratchet.cli.database import check_schema
from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.config import load_settings
from ratchet.execution import auditor
from ratchet.execution.auditor import Finding
from ratchet.persistence.errors import PersistenceError

EXAMPLES = """\
examples:
  ratchet verify                      every invariant; ends with 1 if one is violated
  ratchet verify --rows 20            with up to 20 rows of what violates them
  ratchet verify --json | jq 'map(select(.count > 0))'

Reads the database of RATCHET_DATABASE_URL and the order book of the broker; changes nothing. Against a simulator, what
only the simulator knows (which call made which order) is checked as well. Run it when nothing is in work."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--rows", type=int, default=3, metavar="N", help="rows shown of each violated invariant (3)")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """Audit, and print the findings."""
    try:
        findings = asyncio.run(_audit())
    except PersistenceError as error:
        raise CommandFailed(f"the database: {error}", Exit.UNREACHABLE) from error
    violated = [finding for finding in findings if finding.count]
    if out.as_json:
        out.data([{"invariant": f.invariant, "count": f.count, "rows": list(f.rows)[: args.rows]} for f in findings])
        return Exit.FOUND if violated else Exit.OK
    rows = [
        {"invariant": f.invariant, "violations": f.count, "result": "violated" if f.count else "ok"} for f in findings
    ]
    out.rows("Invariants", ("invariant", "violations", "result"), rows)
    for finding in violated:
        for row in list(finding.rows)[: args.rows]:
            out.line(f"{finding.invariant}: {row}")
    out.line(f"{len(findings)} invariants, {len(violated)} violated")
    return Exit.FOUND if violated else Exit.OK


async def _audit() -> list[Finding]:
    settings = load_settings(require_tokens=False)
    await asyncio.to_thread(check_schema, settings.database_address)
    async with open_runtime(settings, role="cli") as rt:
        return await auditor.audit(rt)
