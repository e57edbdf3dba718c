"""A signal pod as `python -m service` runs it, with what a measurement needs besides.

--accept-only: nothing is executed, so that what accepting costs stands alone. --profile FILE: where the time went.
--calls FILE: one line for each call of the broker: signal, endpoint, begin and end (monotonic seconds).
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import uvloop

from ratchet import bootstrap
from ratchet.bootstrap import open_runtime
from ratchet.clock import SystemClock
from ratchet.config import Settings, load_settings
from ratchet.config.portfolio import load_portfolio
from ratchet.execution.accept import Acceptor
from ratchet.execution.pod import Pod
from ratchet.observability import context
from ratchet.observability import logging as log_lines
from service.command import settle
from service.drain import Drain
from service.serving import serve


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accept-only", action="store_true")
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--calls", type=Path)
    args = parser.parse_args()
    settings = load_settings()
    log_lines.configure(level=settings.log_level, form=settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, _calls_told(args.calls):
        runner.run(_serve(settings, accept_only=args.accept_only, profile=args.profile))


async def _serve(settings: Settings, *, accept_only: bool, profile: Path | None) -> None:
    senders = load_portfolio(settings)
    async with open_runtime(settings, role="service", portfolio=senders) as rt:
        drain = Drain(delay_seconds=settings.drain.delay_seconds, clock=rt.clock)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, drain.request)
        acceptor = Acceptor(rt)
        pod = Pod(rt)

        async def only_accept(stop: asyncio.Event) -> None:
            accepting = asyncio.create_task(acceptor.run())
            await stop.wait()
            accepting.cancel()

        settle()
        with _profiled(profile):
            await serve(
                rt,
                acceptor.accept if accept_only else pod.acceptor.accept,
                senders,
                only_accept if accept_only else pod.run,
                drain=drain,
                on_listening=lambda port: print(f"port {port}", flush=True),
            )


@contextmanager
def _profiled(path: Path | None) -> Iterator[None]:
    """Write a profile of the event loop's thread to a file."""
    if path is None:
        yield
        return
    from pyinstrument import Profiler

    profiler = Profiler(interval=0.0005, async_mode="disabled")
    profiler.start()
    try:
        yield
    finally:
        profiler.stop()
        path.write_text(profiler.output_text(unicode=True, show_all=True, timeline=False))


@contextmanager
def _calls_told(path: Path | None) -> Iterator[None]:
    """Write down each call of the broker."""
    if path is None:
        yield
        return
    clock, told = SystemClock(), bootstrap._broker_observed
    with path.open("w", buffering=1) as lines:

        def tell(call: str, outcome: str, seconds: float) -> None:
            told(call, outcome, seconds)
            _write(lines, call, clock.monotonic(), seconds)

        bootstrap._broker_observed = tell
        yield


def _write(lines: TextIO, call: str, now: float, seconds: float) -> None:
    of = context.current().get("signal_id", "-")
    lines.write(f"{of} {call} {now - seconds:.6f} {now:.6f}\n")


if __name__ == "__main__":
    main()
