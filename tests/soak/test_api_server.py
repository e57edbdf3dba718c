"""A way to the API server carries, keeps what it cannot carry, or refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.servers.waiting import eventually
from tests.soak.api_server import Way

SECONDS = 5.0


class Listener:
    """Answers each line with itself, and remembers what it has heard."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            self.heard.append(line)
            writer.write(line)
        writer.close()


@pytest_asyncio.fixture
async def listener() -> AsyncIterator[Listener]:
    """Something at the other end."""
    built = Listener()
    server = await asyncio.start_server(built.serve, "127.0.0.1", 0)
    built.port = server.sockets[0].getsockname()[1]
    yield built
    server.close()


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    writer.write(line)
    return await asyncio.wait_for(reader.readline(), SECONDS)


async def test_what_its_sender_gave_up_while_it_hung_is_heard_afterwards(listener: Listener) -> None:
    async with Way("127.0.0.1", listener.port).open() as way:
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        assert await asked(reader, writer, b"one\n") == b"one\n"
        await way.lose("hang")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asked(reader, writer, b"two\n")
        writer.close()
        assert listener.heard == [b"one\n"]
        way.mend()
        await eventually(lambda: listener.heard == [b"one\n", b"two\n"], within=SECONDS)


async def test_one_that_connects_while_it_hangs_waits_until_it_carries_again(listener: Listener) -> None:
    async with Way("127.0.0.1", listener.port).open() as way:
        await way.lose("hang")
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asked(reader, writer, b"one\n")
        way.mend()
        assert await asyncio.wait_for(reader.readline(), SECONDS) == b"one\n"
        writer.close()


async def test_refusing_ends_what_is_connected_and_whoever_connects_until_it_is_mended(listener: Listener) -> None:
    async with Way("127.0.0.1", listener.port).open() as way:
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        assert await asked(reader, writer, b"one\n") == b"one\n"
        await way.lose("refuse")
        assert await _ended(reader)
        another, to_another = await asyncio.open_connection("127.0.0.1", way.port)
        assert await _ended(another)
        way.mend()
        again, to_it = await asyncio.open_connection("127.0.0.1", way.port)
        assert await asked(again, to_it, b"two\n") == b"two\n"
        for end in (writer, to_another, to_it):
            end.close()


async def _ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), SECONDS) == b""
    except ConnectionError:
        return True
