"""What the suite asks of a place, and a process that is elected there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from leader.database_lease import DatabaseFence
from leader.election import Times
from leader.elector import Elector
from leader.kubernetes_lease import KubernetesLease, connect
from leader.leadership import Leadership
from leader.lease import Lease
from ratchet.clock import SystemClock


@dataclass(slots=True)
class Place:
    """One lease that nobody has made yet. another: opens it once more, as another process does.

    delete, annotate: what people do to it, where they can.
    """

    another: Callable[[], Awaitable[Lease]]
    fence: DatabaseFence
    times: Times
    delete: Callable[[], Awaitable[object]] | None = None
    annotate: Callable[[str, str], Awaitable[object]] | None = None
    opened: list[Lease] = field(default_factory=list)

    async def open(self) -> Lease:
        """Open the lease; it is closed with the place."""
        lease = await self.another()
        self.opened.append(lease)
        return lease


@dataclass(slots=True)
class Process:
    """One elector of several; notes its epochs."""

    name: str
    elector: Elector
    epochs: list[int] = field(default_factory=list)
    leadership: Leadership | None = None
    task: asyncio.Task[None] | None = None

    async def work(self, leadership: Leadership) -> None:
        """Lead until cancelled."""
        self.epochs.append(leadership.epoch)
        self.leadership = leadership
        try:
            await asyncio.Event().wait()
        finally:
            self.leadership = None

    @property
    def leads(self) -> bool:
        """Whether it may act now."""
        return self.leadership is not None and self.leadership.valid

    async def die(self) -> None:
        """End without a farewell."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])


async def start(place: Place, name: str) -> Process:
    """Start a process at the place."""
    elector = Elector(
        lease=await place.open(),
        fence=place.fence,
        identity=f"{name}_uid-{name}_1",
        times=place.times,
        clock=SystemClock(),
    )
    process = Process(name, elector)
    process.task = asyncio.create_task(elector.run(process.work))
    return process


@asynccontextmanager
async def several(place: Place, *names: str) -> AsyncIterator[list[Process]]:
    """Run processes for the time of the block; those that are appended are ended too."""
    processes = [await start(place, name) for name in names]
    try:
        yield processes
    finally:
        for process in processes:
            await process.die()
        for lease in place.opened:
            await lease.close()


def leading(processes: list[Process]) -> list[Process]:
    """Return those that may act now."""
    return [process for process in processes if process.leads]


class OwnLease(KubernetesLease):
    """One that closes the connections it was given."""

    async def close(self) -> None:
        """End the watch and the connections."""
        await super().close()
        await self._api.api_client.close()


async def kubernetes_lease(kubeconfig: Path, name: str, times: Times) -> KubernetesLease:
    """Open a lease of the cluster that a file leads to."""
    return OwnLease(
        await connect(kubeconfig),
        SystemClock(),
        namespace="default",
        name=name,
        request_timeout=times.request_timeout,
        quiet=2 * times.retry_period,
    )
