"""One signal pod from its start to its end: the server, the work beside it, and the order in which they stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ratchet.config.portfolio import LoadedPortfolio
from ratchet.observability import metrics
from ratchet.runtime import Runtime
from service.app import create_app
from service.door import Accept
from service.drain import Drain
from service.readiness import Readiness
from service.server import Server

log = logging.getLogger(__name__)

LAST_SECONDS = 1.0
"""What the work still gets to end in order, when open requests have used up the time of both."""


def _tell_nobody(_port: int) -> None:
    """Keep the port to ourselves."""


async def serve(
    rt: Runtime,
    accept: Accept,
    senders: LoadedPortfolio,
    work: Callable[[asyncio.Event], Awaitable[None]],
    *,
    drain: Drain,
    leads: Callable[[], bool] | None = None,
    on_listening: Callable[[int], None] = _tell_nobody,
) -> None:
    """Serve until `drain` was requested and its delay is over, then let open requests and the work end in order.

    work: executes signals until its event is set, then finishes what it has sent; accepting is part of it, so it must
    go on while requests are open. Whatever ends by surprise ends the whole. on_listening: told the port.
    Raises OSError if the address is taken.
    """
    readiness = Readiness(rt, drain, leads=leads)
    app = create_app(rt, accept, senders, drain=drain, readiness=readiness)
    server = Server(app, http=rt.settings.http, port=rt.settings.http_port, drain=drain, limits=rt.settings.drain)
    stop = asyncio.Event()
    listener = server.listen()
    on_listening(listener.getsockname()[1])
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(readiness.watch(stop), name="look at the database")
        working = tasks.create_task(_until_stopped(work, stop), name="work")
        watching = tasks.create_task(_note_the_drain(rt, drain), name="note the drain")
        await server.run_until_drained(listener)
        left = rt.settings.drain.graceful_seconds - (rt.clock.monotonic() - drain.leaving_at)
        stop.set()
        _, unfinished = await asyncio.wait((working,), timeout=0.0 if drain.at_once else max(left, LAST_SECONDS))
        for task in (*unfinished, watching, *((looking,) if drain.at_once else ())):
            task.cancel()
    if unfinished:
        log.warning("work was cut off at the end", extra={"event": "drain_cut_off"})
    metrics.DRAIN_SECONDS.observe(rt.clock.monotonic() - drain.requested_at)


async def _until_stopped(work: Callable[[asyncio.Event], Awaitable[None]], stop: asyncio.Event) -> None:
    await work(stop)
    if not stop.is_set():
        raise RuntimeError("the work ended although nobody asked it to")


async def _note_the_drain(rt: Runtime, drain: Drain) -> None:
    await drain.wait_until_requested()
    log.info(
        "draining: answering for %s s more",
        rt.settings.drain.delay_seconds,
        extra={"event": "draining", "delay_seconds": rt.settings.drain.delay_seconds},
    )
