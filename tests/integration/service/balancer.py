"""A TCP balancer as clusters have them: it spreads new connections, and learns late that a backend is going."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Balancer:
    """Forwards each new connection to the next backend; existing ones stay where they are."""

    def __init__(self, ports: list[int]) -> None:
        self.backends = list(ports)
        self.port = 0
        self.accepted = 0
        self._next = 0
        self._open: set[asyncio.Task[None]] = set()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until one side ends."""
        self._next += 1
        port = self.backends[self._next % len(self.backends)]
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_carry(reader, there_writer))
            tasks.create_task(_carry(there_reader, writer))

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward a connection in a task of its own."""
        self.accepted += 1
        task = asyncio.create_task(self.forward(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def close(self) -> None:
        """Cut every connection."""
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def balancing(*ports: int) -> AsyncIterator[Balancer]:
    """Run a balancer in front of these ports."""
    balancer = Balancer(list(ports))
    server = await asyncio.start_server(balancer.accept, "127.0.0.1", 0)
    balancer.port = int(server.sockets[0].getsockname()[1])
    try:
        yield balancer
    finally:
        server.close()
        await balancer.close()
        await server.wait_closed()
