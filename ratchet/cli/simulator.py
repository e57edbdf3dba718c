"""`ratchet simulator`: the simulated broker alone, for services that run elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal

from ratchet.brokers.simulator import Mode, SessionRule, SimulatorServer, SimulatorSettings
from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.config import Settings, load_settings
from ratchet.observability import logging as log_lines

EXAMPLES = """\
examples:
  ratchet simulator --port 5001               on a port of its own
  RATCHET_OPENALGO_URL=http://127.0.0.1:5001 RATCHET_BROKER__KIND=simulator python -m service
                                              a service that trades at it

Its book is kept in RATCHET_HOME/broker.db (RATCHET_SIMULATOR__FILE) and outlives a kill. The API key is
RATCHET_OPENALGO_API_KEY; unset and embedded, the one in RATCHET_HOME. The generated accounts have keys of their own."""

log = logging.getLogger(__name__)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--host", help="address to listen on (RATCHET_SIMULATOR__HOST)")
    parser.add_argument("--port", type=int, help="port to listen on (RATCHET_SIMULATOR_PORT); 0 takes a free one")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """Serve until a signal."""
    settings = load_settings(require_tokens=False, database_url=None, broker={"kind": "simulator"})
    log_lines.hide(settings.secret_values())
    log_lines.configure(level=settings.log_level, form=settings.log_format)
    server = simulator_server(settings, host=args.host, port=args.port)
    try:
        asyncio.run(_serve(server, out))
    except OSError as error:
        raise CommandFailed(f"cannot listen: {error}; choose another --port", Exit.UNREACHABLE) from error
    return Exit.OK


def simulator_server(settings: Settings, *, host: str | None = None, port: int | None = None) -> SimulatorServer:
    """Return the simulated broker that the settings describe, not yet started. Raises CommandFailed without a key."""
    if settings.openalgo_api_key is None:
        raise CommandFailed(
            "RATCHET_OPENALGO_API_KEY is not set: choose a key for the default account", Exit.CONFIGURATION
        )
    file = settings.simulator_file
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SimulatorServer(
        SimulatorSettings(
            api_key=settings.openalgo_api_key.get_secret_value(),
            store_path=file,
            mode=Mode(str(settings.openalgo_mode)),
            sessions=SessionRule(str(settings.simulator.sessions)),
            orders_per_second=settings.simulator.orders_per_second,
            others_per_second=settings.simulator.calls_per_second,
        ),
        host=host or settings.simulator.host,
        port=settings.simulator_port if port is None else port,
    )


async def _serve(server: SimulatorServer, out: Output) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with server:
        out.facts({"openalgo_url": server.url})
        log.info("the simulated broker listens on %s", server.url, extra={"event": "listening", "url": server.url})
        await ended.wait()
