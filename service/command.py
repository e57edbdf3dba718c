"""The command line of a signal pod: settings, logging, the runtime, then serving until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

import uvloop

import ratchet
from ratchet.bootstrap import open_runtime
from ratchet.config import ConfigurationError, Settings, load_settings
from ratchet.config.portfolio import LoadedPortfolio, load_portfolio
from ratchet.execution.pod import Pod
from ratchet.observability import logging as log_lines
from service.drain import Drain
from service.serving import serve

log = logging.getLogger(__name__)

EXIT_CONFIGURATION = 2
"""The settings are not valid: starting again will not help."""

_HELP = """\
Takes signals in over HTTP and executes them, together with any number of pods like it.

Everything is set by RATCHET_... in the environment; `ratchet config check` explains what is missing. The pod is
unready until `ratchet migrate up` has prepared the database. SIGTERM drains it and ends with 0; a second one ends
it at once.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one signal pod and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m service", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=ratchet.__version__)
    parser.parse_args(arguments)
    try:
        settings = load_settings()
        senders = load_portfolio(settings)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there is no logging without settings
        return EXIT_CONFIGURATION
    log_lines.hide((*settings.secret_values(), *senders.secret_values()))
    log_lines.configure(level=settings.log_level, form=settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, senders))
    return 0


async def _serve(settings: Settings, senders: LoadedPortfolio) -> None:
    async with open_runtime(settings, role="service", portfolio=senders) as rt:
        drain = Drain(delay_seconds=settings.drain.delay_seconds, clock=rt.clock)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, drain.request)
        pod = Pod(rt)
        await serve(rt, pod.acceptor.accept, senders, pod.run, drain=drain, on_listening=_say)
    log.info("ended in order", extra={"event": "ended"})


def _say(port: int) -> None:
    log.info("listening on port %s", port, extra={"event": "listening", "port": port})
