"""A signal pod that runs inside a test, and the small HTTP client that asks it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from ratchet.bootstrap import options_of
from ratchet.brokers.base import Broker
from ratchet.clock import Clock, SystemClock
from ratchet.config import Settings, load_settings
from ratchet.config.portfolio import LoadedPortfolio, load_portfolio
from ratchet.coordination.fallback import NoHints
from ratchet.execution.submission import Receipt, Submission
from ratchet.persistence import migrate
from ratchet.persistence.database import Database
from ratchet.runtime import Runtime
from service.drain import Drain
from service.serving import serve
from tests.fakes.acceptor import MemoryAcceptor
from tests.servers.waiting import eventually

WEBHOOK_TOKEN = "webhook-token-of-the-tests"
PREVIOUS_WEBHOOK_TOKEN = "webhook-token-before-it"
API_TOKEN = "api-token-of-the-tests"
PREVIOUS_API_TOKEN = "api-token-before-it"

ENTRY = {
    "type": "BASE_ENTRY",
    "instrument": "GOLD_MINI",
    "position": "Long_1",
    "price": 134600,
    "stop": 133900,
    "lots": 2,
    "atr": 760.5,
    "er": 0.8,
    "supertrend": 133950,
    "timestamp": "2027-01-12T21:00:01",
}

Accept = Callable[[Submission], Awaitable[Receipt]]
Work = Callable[[asyncio.Event], Awaitable[None]]


def entry(**changes: Any) -> dict[str, Any]:
    """Return a valid message with some fields changed."""
    return {**ENTRY, **changes}


_numbers = itertools.count()


def fresh(**changes: Any) -> dict[str, Any]:
    """Return a valid message that no other call has returned."""
    number = next(_numbers)
    return entry(timestamp=f"2027-01-{1 + number // 1440:02}T{number // 60 % 24:02}:{number % 60:02}:00", **changes)


def settings_for(home: Path, **sections: Any) -> Settings:
    """Return settings with all tokens set; every section can be given in part."""
    return load_settings(
        home=home,
        http_port=0,
        webhook_token=WEBHOOK_TOKEN,
        webhook_token_previous=PREVIOUS_WEBHOOK_TOKEN,
        api_token=API_TOKEN,
        api_token_previous=PREVIOUS_API_TOKEN,
        **sections,
    )


@cache
def _empty_database() -> bytes:
    """Return a SQLite file that has every table, as a migrated database has them."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "made.db"
        migrate.up(f"sqlite:///{file}")
        return file.read_bytes()


async def work_until_stopped(stop: asyncio.Event) -> None:
    """Do nothing until told to stop."""
    await stop.wait()


def runtime(settings: Settings, *, clock: Clock | None = None, brokers: Mapping[str, Broker] | None = None) -> Runtime:
    """Return a runtime on the settings' database, without Redis."""
    chosen = clock or SystemClock()
    return Runtime(
        settings=settings,
        portfolio=load_portfolio(settings).portfolio,
        clock=chosen,
        db=Database(options_of(settings, role="service"), clock=chosen),
        hints=NoHints(),
        brokers=brokers or {},
        boot_id="boot-of-the-tests",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True, kw_only=True)
class Pod:
    """A running pod. ended: the task of the whole."""

    rt: Runtime
    port: int
    acceptor: MemoryAcceptor
    drain: Drain
    ended: asyncio.Task[None]
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, method: str, path: str, *, body: Any = None, **more: Any) -> Told:
        """Send a request; a body that is not bytes is sent as JSON text."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        async with self.session.request(method, self.url + path, data=data, **more) as answer:
            return Told(status=answer.status, headers=answer.headers, body=await answer.read())

    async def read(self, path: str, *, token: str = API_TOKEN) -> Told:
        """GET with the API token."""
        return await self.ask("GET", path, headers={"authorization": f"Bearer {token}"})

    async def send(self, message: Any, *, token: str = WEBHOOK_TOKEN, **more: Any) -> Told:
        """POST a message to the webhook."""
        return await self.ask("POST", f"/webhook/{token}", body=message, **more)


async def _first_look(pod: Pod) -> None:
    """Wait until the pod has found its database; some tests give it none that it could find."""

    async def ready() -> bool:
        return (await pod.ask("GET", "/readyz")).status == 200

    with suppress(AssertionError, TimeoutError):
        await eventually(ready, within=2.0)


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    acceptor: MemoryAcceptor | None = None,
    accept: Callable[[Runtime], tuple[Accept, Work]] | None = None,
    work: Work = work_until_stopped,
    senders: LoadedPortfolio | None = None,
    migrated: bool = True,
    look: bool = True,
) -> AsyncIterator[Pod]:
    """Run a pod for the time of the block. accept: makes the real accept and its work; else a memory acceptor.

    look: wait until the pod has found its database, over a connection that stays open.
    """
    if migrated:
        settings.home.joinpath("ratchet.db").write_bytes(_empty_database())
    rt = runtime(settings)
    memory = acceptor or MemoryAcceptor()
    take: Accept = memory.accept
    if accept is not None:
        take, work = accept(rt)
    drain = Drain(delay_seconds=settings.drain.delay_seconds, clock=rt.clock)
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    chosen = senders or load_portfolio(settings)
    ended = asyncio.create_task(serve(rt, take, chosen, work, drain=drain, on_listening=port.set_result))
    try:
        await asyncio.wait((ended, port), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            await ended
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:
            pod = Pod(rt=rt, port=await port, acceptor=memory, drain=drain, ended=ended, session=session)
            if migrated and look:
                await _first_look(pod)
            yield pod
    finally:
        memory.held.set()
        drain.request()
        await asyncio.wait((ended,), timeout=1.0)
        drain.request()
        await asyncio.wait((ended,))
        await rt.db.close()
    await ended
