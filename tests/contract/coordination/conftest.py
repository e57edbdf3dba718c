"""A Valkey for these tests, and hints in every condition that they may meet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from ratchet.clock import SystemClock
from ratchet.coordination import Hints, NoHints
from ratchet.coordination.base import Answer, Operation
from ratchet.coordination.breaker import Breaker
from ratchet.coordination.redis import RedisHints
from tests.servers.process import free_port
from tests.servers.valkey import ValkeyServer

TIMEOUT = 0.1

MakeHints = Callable[..., RedisHints]


class Seen:
    """Collects what was observed."""

    def __init__(self) -> None:
        self.calls: list[tuple[Operation, Answer]] = []

    def __call__(self, operation: Operation, answer: Answer, seconds: float, lock: str) -> None:
        assert 0 <= seconds < 10
        self.calls.append((operation, answer))


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> ValkeyServer:
    """The shared server, empty."""
    valkey_server.flush()
    return valkey_server


def redis_hints(url: str, observe: Seen | None = None) -> RedisHints:
    """Return hints with short pauses of the breaker."""
    clock = SystemClock()
    breaker = Breaker(clock, first=0.3, longest=0.3, jitter=lambda bound: bound)
    return RedisHints(url, clock, timeout=TIMEOUT, breaker=breaker, observe=observe or Seen())


@asynccontextmanager
async def hints_under(condition: str, valkey: ValkeyServer) -> AsyncIterator[Hints]:
    """Bring about a condition of the server, hand out hints that meet it, and undo it."""
    async with AsyncExitStack() as stack:
        hints: Hints
        match condition:
            case "no redis":
                hints = NoHints()
            case "away":
                hints = redis_hints(f"redis://127.0.0.1:{free_port()}/0")
            case _:
                hints = redis_hints(valkey.url)
        stack.push_async_callback(hints.close)
        if condition == "frozen":
            valkey.freeze()
            stack.callback(valkey.thaw)
        if condition == "full":
            valkey.ask("CONFIG", "SET", "maxmemory", "1")
            stack.callback(valkey.ask, "CONFIG", "SET", "maxmemory", "64mb")
        if condition == "broken":
            # Every data command is refused with an error in words.
            valkey.ask(
                "ACL", "SETUSER", "default", "-@all", "+acl", "+ping", "+flushall", "+config", "+hello", "+client"
            )
            stack.callback(valkey.ask, "ACL", "SETUSER", "default", "+@all")
        yield hints


CONDITIONS = ("redis", "no redis", "away", "frozen", "full", "broken")


@pytest_asyncio.fixture(params=CONDITIONS)
async def hints(request: pytest.FixtureRequest, valkey: ValkeyServer) -> AsyncIterator[Hints]:
    """Hints in each condition in turn."""
    async with hints_under(request.param, valkey) as made:
        yield made


@pytest_asyncio.fixture
async def make_hints(valkey: ValkeyServer) -> AsyncIterator[MakeHints]:
    """Make hints over the running server, as many as there are processes to play."""
    made: list[RedisHints] = []

    def make(observe: Seen | None = None) -> RedisHints:
        made.append(redis_hints(valkey.url, observe))
        return made[-1]

    yield make
    for one in made:
        await one.close()
