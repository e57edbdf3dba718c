"""`ratchet verify`: run the invariants against the database and the broker's book, and print each with its count."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict

from ratchet.bootstrap import open_runtime
from ratchet.brokers.audit_book import AuditBook
from ratchet.brokers.base import BrokerError
from ratchet.brokers.openalgo import simulator_book
from ratchet.cli.database import check_schema
from ratchet.cli.embedded import beside_broker
from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.config import load_settings
from ratchet.config.portfolio import LoadedPortfolio, load_portfolio
from ratchet.execution import auditor
from ratchet.execution.auditor import Finding
from ratchet.persistence.errors import PersistenceError
from ratchet.runtime import Runtime

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
    except BrokerError as error:
        raise CommandFailed(f"the broker's book cannot be read: {error}", Exit.UNREACHABLE) from error
    violated = [finding for finding in findings if finding.count]
    if out.as_json:
        out.data([{**asdict(finding), "rows": finding.rows[: args.rows]} for finding in findings])
        return Exit.FOUND if violated else Exit.OK
    out.rows("Invariants", ("invariant", "violations", "result", "meaning"), [_row(finding) for finding in findings])
    for finding in violated:
        for row in finding.rows[: args.rows]:
            out.line(f"{finding.invariant}: {row}")
    skipped = sum(finding.skipped is not None for finding in findings)
    out.line(f"{len(findings) - skipped} invariants asked, {len(violated)} violated, {skipped} skipped")
    return Exit.FOUND if violated else Exit.OK


def _row(finding: Finding) -> dict[str, object]:
    result = "violated" if finding.count else "skipped" if finding.skipped else "ok"
    return {
        "invariant": finding.invariant,
        "violations": finding.count,
        "result": result,
        "meaning": finding.skipped or finding.meaning,
    }


async def _audit() -> list[Finding]:
    settings = load_settings(require_tokens=False)
    await asyncio.to_thread(check_schema, settings.database_address)
    async with beside_broker(settings) as found:
        loaded = load_portfolio(found)
        async with open_runtime(found, role="cli", portfolio=loaded) as rt:
            return await auditor.audit(rt, book=await _simulators_book(rt, loaded))


async def _simulators_book(rt: Runtime, loaded: LoadedPortfolio) -> AuditBook | None:
    """Return the book that tells which call made which order, if the broker is a simulator."""
    settings = rt.settings
    if not settings.broker_is_simulator or settings.openalgo_url is None or settings.openalgo_api_key is None:
        return None
    return await simulator_book.read_book(
        settings.openalgo_url,
        accounts={str(account): key.get_secret_value() for account, key in loaded.api_keys.items()},
        base_key=settings.openalgo_api_key.get_secret_value(),
        clock=rt.clock,
        timeout_seconds=settings.broker.total_timeout_seconds,
    )
