"""An instant broker: the simulator's own answers, without its disk, its limits and its web framework.

`GET /calls` returns when each placeorder came (monotonic nanoseconds) and forgets them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from decimal import Decimal
from typing import cast

import uvloop

from ratchet.brokers.simulator import answers
from ratchet.brokers.simulator.routes.pipeline import Call
from ratchet.brokers.simulator.routes.table import ENDPOINTS
from ratchet.brokers.simulator.schemas import check
from ratchet.brokers.simulator.settings import SimulatorSettings
from ratchet.brokers.simulator.simulator import Simulator

_ROOT = "/api/v1/"


class Instant:
    """Answers one call from memory."""

    def __init__(self, api_key: str) -> None:
        self._simulator = Simulator(SimulatorSettings(api_key=api_key, rate_limits=False, durable=False))
        self._placed: list[int] = []

    def answer(self, path: str, body: bytes) -> bytes:
        """Return the whole response."""
        if path == "/calls":
            content, self._placed = json.dumps(self._placed).encode(), []
            return _response(200, content)
        name = path.removeprefix(_ROOT)
        if name == "placeorder":
            self._placed.append(time.monotonic_ns())
        endpoint = ENDPOINTS[name]
        given = json.loads(body, parse_float=Decimal)
        values, errors = check(endpoint.schema, given)
        account = self._simulator.account_of(str(given["apikey"]))
        if errors or account is None:
            content, _ = answers.errors_as_object(errors).encoded()
            return _response(400, content)
        call = Call(
            simulator=self._simulator, account=account, values=values, now=self._simulator.settings.now(), faults=()
        )
        made = endpoint.handler(call)
        return _response(made.status, made.encoded()[0])


def _response(status: int, content: bytes) -> bytes:
    head = f"HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


class _Protocol(asyncio.Protocol):
    def __init__(self, instant: Instant) -> None:
        self._instant = instant
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        at = head.lower().find(b"content-length:")
        if at >= 0 and len(body) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return
        self._received = b""
        self._transport.write(self._instant.answer(head.split(b" ", 2)[1].decode(), body))


async def _serve(api_key: str) -> None:
    instant = Instant(api_key)
    server = await asyncio.get_running_loop().create_server(lambda: _Protocol(instant), "127.0.0.1", 0)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1]))
