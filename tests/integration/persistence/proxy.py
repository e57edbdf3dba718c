"""A TCP proxy before PostgreSQL that cuts or freezes at a chosen moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

COMMIT = b"COMMIT\x00"


@dataclass
class Proxy:
    """cut_at: cut every connection when the client sends these bytes. deliver: only after the server has answered.

    frozen: bytes are swallowed in both directions, connections stay open.
    """

    port: int = 0
    target_port: int = 0
    cut_at: bytes | None = None
    deliver: bool = False
    frozen: bool = False
    cuts: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def url(self, database_url: str) -> str:
        """Return the address of the database by way of this proxy."""
        return database_url.replace(f":{self.target_port}/", f":{self.port}/")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        self._writers += [writer, server_writer]
        answers = asyncio.create_task(self._carry_answers(server_reader, writer))
        try:
            while data := await reader.read(65_536):
                if self.frozen:
                    continue
                if self.cut_at is not None and self.cut_at in data:
                    self.cuts += 1
                    answers.cancel()
                    await asyncio.wait([answers])
                    if self.deliver:
                        server_writer.write(data)
                        await server_reader.read(1)
                    break
                server_writer.write(data)
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            writer.transport.abort()
            server_writer.transport.abort()

    async def _carry_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if not self.frozen:
                    writer.write(data)
        except ConnectionError:
            pass
        writer.transport.abort()

    def cut_all(self) -> None:
        """Cut what is connected now."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@asynccontextmanager
async def proxy_to(target_port: int) -> AsyncIterator[Proxy]:
    """Run a proxy on a free port of the loopback."""
    proxy = Proxy(target_port=target_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut_all()
