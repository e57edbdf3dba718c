"""Serves the leader's probes and metrics, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import uvicorn

from ratchet.observability.probes import Probes

STOP_SECONDS = 2


class _Server(uvicorn.Server):
    """A server that leaves the process's signal handlers alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.asynccontextmanager
async def serving(probes: Probes, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve for the time of the block, and hand out the port. Raises OSError if the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        listener.setblocking(False)
        server = _Server(
            uvicorn.Config(
                cast(Any, probes),
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        task = asyncio.create_task(server.serve(sockets=[listener]), name="probes")
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await asyncio.wait([task], timeout=2 * STOP_SECONDS)
