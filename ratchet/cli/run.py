"""`ratchet run`: everything in one process: the service, a worker, the leader's duties, and a simulated broker."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from leader.leading import Leader
from leader.work import WORK
from ratchet.bootstrap import open_runtime
from ratchet.cli.embedded import HomeLock, with_broker
from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.config import Settings, load_settings
from ratchet.config.portfolio import load_portfolio
from ratchet.execution.pod import Pod
from ratchet.observability import logging as log_lines
from ratchet.observability.loops import new_event_loop
from ratchet.persistence import migrate
from ratchet.persistence.errors import PersistenceError
from ratchet.runtime import Runtime
from service.drain import Drain
from service.serving import serve

log = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  ratchet run                                  on http://127.0.0.1:8080, with its files in .ratchet/
  RATCHET_HTTP_PORT=9000 RATCHET_HOME=/srv/r ratchet run
  RATCHET_OPENALGO_URL=http://127.0.0.1:5000 RATCHET_OPENALGO_API_KEY=... ratchet run
                                               at your own OpenAlgo instead of the simulated broker

Then, in another terminal: ratchet send --samples; ratchet positions; ratchet status.
Ctrl-C ends it in order: what was accepted is kept and goes on at the next start."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--port", type=int, help="port of the service (RATCHET_HTTP_PORT)")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """Run until a signal."""
    settings = load_settings(**({} if args.port is None else {"http_port": args.port}))
    log_lines.hide(settings.secret_values())
    log_lines.configure(level=settings.log_level, form=settings.log_format)
    with HomeLock(settings), asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            migrate.up(settings.database_address)
            runner.run(_run(settings, out))
        except PersistenceError as error:
            raise CommandFailed(f"the database: {error}", Exit.UNREACHABLE) from error
        except OSError as error:
            raise CommandFailed(f"cannot listen: {error}; choose another --port", Exit.UNREACHABLE) from error
    return Exit.OK


async def _run(settings: Settings, out: Output) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        settings = await stack.enter_async_context(with_broker(settings))
        loaded = load_portfolio(settings)
        log_lines.hide(loaded.secret_values())
        rt = await stack.enter_async_context(open_runtime(settings, role="embedded", portfolio=loaded))
        drain = Drain(delay_seconds=settings.drain.delay_seconds, clock=rt.clock)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, drain.request)
        pod = Pod(rt, role="embedded")
        leader = Leader(rt, WORK, alone=settings.embedded)

        async def work(stop: asyncio.Event) -> None:
            async with pod, _leading(rt, leader):
                await stop.wait()

        await serve(
            rt,
            pod.acceptor.accept,
            loaded,
            work,
            drain=drain,
            leads=lambda: leader.leads,
            on_listening=lambda port: _greet(settings, out, port),
        )


@asynccontextmanager
async def _leading(rt: Runtime, leader: Leader) -> AsyncIterator[None]:
    """Lead for the time of the block; its duties get as long to end as everything else."""
    leading = asyncio.create_task(leader.run(), name="leader")
    try:
        yield
    finally:
        leader.stop()
        _, unfinished = await asyncio.wait([leading], timeout=rt.settings.drain.graceful_seconds)
        if unfinished:
            leading.cancel()
            await asyncio.wait([leading])


def _greet(settings: Settings, out: Output, port: int) -> None:
    """Say where to send. The address with its token goes to a terminal only, never into a log or a pipe."""
    address = f"http://127.0.0.1:{port}"
    log.info("listening on %s", address, extra={"event": "listening", "port": port})
    if not out.interactive or settings.webhook_token is None:
        return
    here = f"RATCHET_URL={address} " if port != 8080 else ""
    where = f"RATCHET_HOME={settings.home} " if str(settings.home) != ".ratchet" else ""
    out.line(f"\n  TradingView webhook   {address}/webhook/{settings.webhook_token.get_secret_value()}")
    out.line(f"  page and API          {address}/")
    out.line(f"  try it                {here}{where}ratchet send --samples\n")
