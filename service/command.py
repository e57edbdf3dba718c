"""A signal pod as a process: settings, logging, the runtime, then serving until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys

from ratchet.bootstrap import open_runtime
from ratchet.config import ConfigurationError, Settings, load_settings
from ratchet.config.portfolio import LoadedPortfolio, load_portfolio
from ratchet.execution.pod import Pod
from ratchet.observability import logging as log_lines
from ratchet.observability.loops import new_event_loop
from service.drain import Drain
from service.serving import serve

log = logging.getLogger(__name__)

_COLLECT_AFTER = 10_000
"""New objects between two collections of the youngest; Python's own 700 is some ten requests."""

EXIT_CONFIGURATION = 2
"""The settings are not valid: starting again will not help."""


def main() -> int:
    """Run one signal pod and return its exit code."""
    try:
        settings = load_settings()
        senders = load_portfolio(settings)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there is no logging without settings
        return EXIT_CONFIGURATION
    log_lines.hide((*settings.secret_values(), *senders.secret_values()))
    log_lines.configure(level=settings.log_level, form=settings.log_format)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(settings, senders))
    return 0


async def _serve(settings: Settings, senders: LoadedPortfolio) -> None:
    async with open_runtime(settings, role="service", portfolio=senders) as rt:
        drain = Drain(delay_seconds=settings.drain.delay_seconds, clock=rt.clock)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, drain.request)
        pod = Pod(rt)
        settle()
        await serve(rt, pod.acceptor.accept, senders, pod.run, drain=drain, on_listening=_say)
    log.info("ended in order", extra={"event": "ended"})


def settle() -> None:
    """Tell the collector that the start is over: what was imported stays, and requests leave few cycles behind."""
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _say(port: int) -> None:
    log.info("listening on port %s", port, extra={"event": "listening", "port": port})
