"""The yardstick of the way to the order: a script that makes the same commits and nothing else.

Accept, NOTIFY, claim, plan (T2) and permission (T3) are one committed statement each, on tables without any rule.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import asyncpg
import uvloop

from bench.place import API_KEY

_TABLES = """
CREATE TABLE IF NOT EXISTS bare_signal (id bigserial PRIMARY KEY, body text NOT NULL, status text NOT NULL);
CREATE TABLE IF NOT EXISTS bare_intent (id bigint PRIMARY KEY, state text NOT NULL, sent_at timestamptz);
"""
_ACCEPT = (
    "WITH new AS (INSERT INTO bare_signal (body, status) VALUES ($1, 'accepted') RETURNING id)"
    " SELECT pg_notify('bare', id::text) FROM new"
)
_CLAIM = "UPDATE bare_signal SET status = 'processing' WHERE id = $1"
_PLAN = "INSERT INTO bare_intent (id, state) VALUES ($1, 'PENDING')"
_PERMIT = "UPDATE bare_intent SET state = 'SENDING', sent_at = clock_timestamp() WHERE id = $1 AND state = 'PENDING'"
_ANSWER = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}"


class _Door(asyncio.Protocol):
    """Takes one request at a time and answers it when it is stored."""

    def __init__(self, database: asyncpg.Connection) -> None:
        self._database = database
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if blank and len(body) >= int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
            self._received = b""
            self._task = asyncio.get_running_loop().create_task(self._store(body.decode()))

    async def _store(self, body: str) -> None:
        await self._database.execute(_ACCEPT, body)
        self._transport.write(_ANSWER)


async def _serve(database: str, broker: int) -> None:
    door, worker, ear = [await asyncpg.connect(database) for _ in range(3)]
    await door.execute(_TABLES)
    order = _order()
    reader, writer = await asyncio.open_connection("127.0.0.1", broker)

    async def execute(number: int) -> None:
        await worker.execute(_CLAIM, number)
        await worker.execute(_PLAN, number)
        await worker.execute(_PERMIT, number)
        writer.write(order)
        await reader.readuntil(b"}")

    tasks = set[asyncio.Task[None]]()

    def heard(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        task = asyncio.get_running_loop().create_task(execute(int(str(payload))))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    await ear.add_listener("bare", heard)
    server = await asyncio.get_running_loop().create_server(lambda: _Door(door), "127.0.0.1", 0)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def _order() -> bytes:
    body = json.dumps({"apikey": API_KEY, "strategy": "bare"}).encode()
    head = f"POST /api/v1/placeorder HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1], int(sys.argv[2])))
