"""Leaders that are elected on Leases of a real cluster: a namespace for each schedule, and ways there that can be lost.

Nothing is done to the API server itself: each leader reaches it by a TCP proxy of its own in this process.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import yaml

from tests.cluster.conftest import Cluster

LEASE_NAME = "ratchet-soak"
_CONNECT_SECONDS = 2.0
TIMES = {
    "LEADER__LEASE_DURATION_SECONDS": "3",  # the shortest that a Lease takes
    "LEADER__RENEW_DEADLINE_SECONDS": "1.8",
    "LEADER__RETRY_PERIOD_SECONDS": "0.5",
    "LEADER__REQUEST_TIMEOUT_SECONDS": "0.5",
}


def named_cluster() -> Cluster | None:
    """Return the cluster that RATCHET_TEST_CLUSTER names, None if it names none."""
    folder = os.environ.get("RATCHET_TEST_CLUSTER")
    return Cluster(Path(folder)) if folder else None


class Way:
    """A proxy to one address: it carries, or hangs, or refuses.

    What is under way when it hangs is kept and arrives afterwards: a renewal that its sender gave up long ago may then
    be heard after another leader's.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        """Where it listens on the loopback."""
        self._target = (host, port)
        self._carries = asyncio.Event()
        self._refuses = False
        self._connections: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Way]:
        """Listen for the time of the block."""
        self.mend()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await self._cut()

    async def lose(self, how: str) -> None:
        """Carry nothing from now on. how: `hang`, or `refuse`, which also ends what is connected."""
        if how == "hang":
            self._carries.clear()
        else:
            self._refuses = True
            await self._cut()

    def mend(self) -> None:
        """Carry again."""
        self._refuses = False
        self._carries.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._carry(reader, writer), name="a way to the API server")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._carries.wait()
            async with asyncio.timeout(_CONNECT_SECONDS):
                there, to_there = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        pumps = [asyncio.create_task(self._pump(*ends)) for ends in ((reader, to_there), (there, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in (writer, to_there):
                end.close()  # what was written before still goes

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._carries.wait()
                writer.write(data)
                await writer.drain()

    async def _cut(self) -> None:
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        if connections:
            await asyncio.wait(connections)


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways of all leaders of a schedule, to Leases in a namespace of its own."""

    cluster: Cluster
    folder: Path
    namespace: str
    ways: tuple[Way, ...]

    def settings(self, which: int) -> Mapping[str, str]:
        """Return the settings of one leader, by which it goes its own way."""
        return {
            **TIMES,
            "LEADER__BACKEND": "kubernetes",
            "LEADER__NAMESPACE": self.namespace,
            "LEADER__LEASE_NAME": LEASE_NAME,
            "LEADER__KUBECONFIG": str(self._kubeconfig(which)),
            "LEADER__POD_NAME": f"leader-{which + 1}",
            "LEADER__POD_UID": f"uid-{which + 1}",
        }

    def mend(self) -> None:
        """Let all of them carry again."""
        for way in self.ways:
            way.mend()

    def write(self, kubeconfig: str) -> None:
        """Write for each leader a file that leads to its proxy."""
        server = _server(kubeconfig)
        self.folder.mkdir(parents=True, exist_ok=True)
        for which, way in enumerate(self.ways):
            path = self._kubeconfig(which)
            path.touch(mode=0o600)
            path.write_text(kubeconfig.replace(server, f"https://127.0.0.1:{way.port}"))

    def remove(self) -> None:
        """Remove these files, the namespace, and what is in it. Raises subprocess.CalledProcessError."""
        for which in range(len(self.ways)):
            self._kubeconfig(which).unlink(missing_ok=True)
        self.cluster.kubectl("delete", "lease", "--all", "--namespace", self.namespace)
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def _kubeconfig(self, which: int) -> Path:
        return self.folder / f"leader-{which + 1}.kubeconfig"


@asynccontextmanager
async def ways_to(cluster: Cluster, folder: Path, *, leaders: int) -> AsyncIterator[Ways]:
    """Make a namespace and ways there; leaders have to have ended before the block does.

    Raises subprocess.CalledProcessError if the cluster refuses.
    """
    kubeconfig = await asyncio.to_thread(lambda: cluster.kubeconfig.read_text())
    address = urlsplit(_server(kubeconfig))
    assert address.hostname is not None and address.port is not None
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(Way(address.hostname, address.port).open()) for _ in range(leaders)]
        ways = Ways(cluster, folder, f"ratchet-soak-{uuid4().hex[:8]}", tuple(opened))
        await asyncio.to_thread(cluster.kubectl, "create", "namespace", ways.namespace)
        try:
            ways.write(kubeconfig)
            yield ways
        finally:
            await asyncio.to_thread(ways.remove)


def _server(kubeconfig: str) -> str:
    server: str = yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]["server"]
    return server
