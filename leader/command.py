"""The command line of a leader: settings, logging, the runtime, then leading in turn until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import ratchet
from leader.leading import Leader
from leader.place import session_of
from leader.schema import look
from leader.server import serving
from leader.work import WORK
from ratchet.bootstrap import open_runtime
from ratchet.config import ConfigurationError, Settings, load_settings
from ratchet.config.portfolio import LoadedPortfolio, load_portfolio
from ratchet.execution.pod import Presence
from ratchet.observability import logging as log_lines
from ratchet.observability.probes import Probes, Verdict
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

EXIT_CONFIGURATION = 2
"""The settings are not valid: starting again will not help."""

_HELP = """\
Runs recovery, reconciliation and the daily schedule, in one of the processes that are started like this.

Any number may run: one leads, the others stand by, and one of them follows when it is gone. Everything is set by
RATCHET_... in the environment; `ratchet config check` explains what is missing. /livez, /readyz, /health and /metrics
are served on RATCHET_LEADER__HTTP_PORT. SIGTERM ends the duties and gives the leadership back.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one leader and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m leader", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=ratchet.__version__)
    parser.parse_args(arguments)
    try:
        settings = load_settings(require_tokens=False)
        portfolio = load_portfolio(settings)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there is no logging without settings
        return EXIT_CONFIGURATION
    log_lines.hide((*settings.secret_values(), *portfolio.secret_values()))
    log_lines.configure(level=settings.log_level, form=settings.log_format)
    return asyncio.run(_lead(settings, portfolio))


async def _lead(settings: Settings, portfolio: LoadedPortfolio) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    session = partial(session_of, settings)
    async with open_runtime(settings, role="leader", portfolio=portfolio, session=session) as rt:
        leader = Leader(rt, WORK)
        readiness = _Readiness(rt, leader)
        probes = Probes(alive=leader.alive, ready=readiness.ready, health=readiness.health)
        async with serving(probes, host=settings.http.host, port=settings.leader.http_port) as port:
            log.info("probes on port %s", port, extra={"event": "listening", "port": port})
            presence = Presence(rt, "leader")
            beating = asyncio.create_task(presence.run(), name="presence")
            await _until(stopping, leader, settings.drain.graceful_seconds)
            beating.cancel()
            await asyncio.wait([beating])
            await presence.leave()
    log.info("ended in order", extra={"event": "ended"})
    return 0


async def _until(stopping: asyncio.Event, leader: Leader, graceful_seconds: float) -> None:
    """Lead in turn until asked to stop; then the duties have `graceful_seconds` to end."""
    leading = asyncio.create_task(leader.run(), name="leader")
    asked = asyncio.create_task(stopping.wait(), name="until stopped")
    await asyncio.wait([leading, asked], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    leader.stop()
    _, unfinished = await asyncio.wait([leading], timeout=graceful_seconds)
    if unfinished:
        log.warning("duties were cut off at the end", extra={"event": "drain_cut_off"})
        leading.cancel()
        await asyncio.wait([leading])
    if not leading.cancelled():
        leading.result()


class _Readiness:
    """Whether this process could lead: it reaches a database whose schema will do."""

    def __init__(self, rt: Runtime, leader: Leader) -> None:
        self._rt = rt
        self._leader = leader

    async def ready(self) -> Verdict:
        """Ask the database."""
        return await look(self._rt.db)

    async def health(self) -> Mapping[str, Any]:
        """Return what people want to know."""
        verdict = await self.ready()
        return {
            "status": "ok" if verdict.ok else "unready",
            "version": ratchet.__version__,
            "instance": self._rt.boot_id,
            **verdict.facts,
            "leader": self._leader.facts(),
        }
