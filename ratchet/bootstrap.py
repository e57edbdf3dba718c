"""Settings -> Runtime: the only place that picks implementations, opens them, and closes them again."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

from ratchet import __version__, broken, failpoints
from ratchet.brokers.openalgo.client import OpenAlgoBroker
from ratchet.brokers.openalgo.session import create_session
from ratchet.brokers.openalgo.transport import Timeouts
from ratchet.clock import Clock, SystemClock
from ratchet.config import LoadedPortfolio, Settings, load_portfolio
from ratchet.coordination import Hints, NoHints
from ratchet.coordination.breaker import Breaker
from ratchet.execution.resolve import lock_is_free
from ratchet.observability import metrics
from ratchet.persistence.database import Database, DatabaseOptions
from ratchet.persistence.revision import newest
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

_PROOF_KEPT_SECONDS = 86_400.0
_LEADER_IDLE_SECONDS = 5.0


def options_of(settings: Settings, *, role: str, session: str | None = None) -> DatabaseOptions:
    """Return how the settings say that the database is used. session: its application_name, if not of the role's."""
    database = settings.database
    idle = database.idle_in_transaction_timeout_seconds
    return DatabaseOptions(
        url=settings.database_address,
        replica_url=settings.replica_address if role in ("service", "embedded") else None,
        pool_size=database.pool_size,
        pool_timeout_seconds=database.pool_timeout_seconds,
        pool_recycle_seconds=database.pool_recycle_seconds,
        connect_timeout_seconds=database.connect_timeout_seconds,
        statement_timeout_seconds=database.statement_timeout_seconds,
        lock_timeout_seconds=database.lock_timeout_seconds,
        # A leader's transactions hold the fence, for which its successor waits.
        idle_in_transaction_timeout_seconds=min(idle, _LEADER_IDLE_SECONDS) if role == "leader" else idle,
        commit_timeout_seconds=database.commit_timeout_seconds,
        tries=database.transaction_tries,
        retry_base_seconds=database.retry_base_seconds,
        application_name=session or f"ratchet-{role}",
    )


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    *,
    role: str,
    portfolio: LoadedPortfolio | None = None,
    clock: Clock | None = None,
    session: Callable[[str], str] | None = None,
) -> AsyncIterator[Runtime]:
    """Open what a process needs, and close it at the end of the block.

    role: `service`, `leader`, `embedded` or `cli`. session: names the sessions in the database after the boot_id.
    The database need not be there yet: its users wait for it.
    """
    arm_for_tests(settings)
    loaded = portfolio or load_portfolio(settings)
    used_clock = clock or SystemClock()
    metrics.BUILD.info({"version": __version__, "schema": newest()})
    async with AsyncExitStack() as stack:
        lock_file = stack.enter_context(_alive())
        boot_id = f"{role}-{uuid4().hex[:16]}"
        options = options_of(settings, role=role, session=session(boot_id) if session else None)
        db = Database(options, clock=used_clock, observe=database_observed)
        metrics.DATABASE_POOL.labels("in_use").set_function(lambda: db.in_use)
        metrics.DATABASE_POOL.labels("waiting").set_function(lambda: db.waiting)
        stack.push_async_callback(_close, db.close, "the database", settings)
        hints = _hints(settings, used_clock)
        stack.push_async_callback(_close, hints.close, "redis", settings)
        brokers = await _brokers(settings, loaded, used_clock, stack)
        yield Runtime(
            settings=settings,
            portfolio=loaded.portfolio,
            clock=used_clock,
            db=db,
            hints=hints,
            brokers=brokers,
            boot_id=boot_id,
            lock_file=lock_file,
        )


async def _close(close: Callable[[], Awaitable[None]], what: str, settings: Settings) -> None:
    """Close what was opened; a peer that does not answer must not keep the process alive."""
    try:
        async with asyncio.timeout(settings.drain.lifespan_seconds):
            await close()
    except TimeoutError:
        log.warning("%s was not closed in time", what, extra={"event": "close_timed_out"})


def arm_for_tests(settings: Settings) -> None:
    """Arm what tests asked for; the settings have refused it unless the broker is the simulator."""
    if settings.failpoints:
        failpoints.arm(settings.failpoints, marker=settings.failpoint_marker)
    broken.choose(None if settings.broken_build is None else str(settings.broken_build))


class _alive:  # noqa: N801 - used as a context manager
    """A file whose lock this process holds as long as it lives, so that on this host its death can be proven."""

    def __enter__(self) -> Path:
        folder = Path(tempfile.gettempdir()) / f"ratchet-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        _sweep(folder)
        self._path = folder / f"{uuid4().hex}.alive"
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self._path

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _sweep(folder: Path) -> None:
    """Remove the files of processes that died long ago; a fresh one is still the proof of its process's death.

    Each process touches its file with each heartbeat. An order that is in doubt for a day is a person's already.
    """
    oldest = SystemClock().now().timestamp() - _PROOF_KEPT_SECONDS
    for file in folder.glob("*.alive"):
        try:
            if file.stat().st_mtime < oldest and lock_is_free(str(file)):
                file.unlink()
        except FileNotFoundError:
            continue  # another process sweeps too


def _hints(settings: Settings, clock: Clock) -> Hints:
    if settings.redis_url is None:
        return NoHints()
    from ratchet.coordination.redis import RedisHints  # weighs megabytes, for whoever has no Redis in vain

    return RedisHints(
        settings.redis_url.get_secret_value(),
        clock,
        prefix=settings.redis.key_prefix,
        timeout=settings.redis.timeout_seconds,
        connections=settings.redis.pool_size,
        breaker=Breaker(
            clock,
            failures=settings.redis.breaker_failures,
            first=settings.redis.breaker_first_probe_seconds,
            longest=settings.redis.breaker_longest_probe_seconds,
        ),
    )


async def _brokers(
    settings: Settings, loaded: LoadedPortfolio, clock: Clock, stack: AsyncExitStack
) -> Mapping[str, OpenAlgoBroker]:
    session = create_session(
        connections=settings.broker.connections, write_timeout_seconds=settings.broker.write_timeout_seconds
    )
    stack.push_async_callback(_close, session.close, "the broker's connections", settings)
    broker = settings.broker
    timeouts = Timeouts(
        connect=broker.connect_timeout_seconds,
        read=broker.read_timeout_seconds,
        pool=broker.pool_timeout_seconds,
        total=broker.total_timeout_seconds,
        quote=broker.quote_timeout_seconds,
        window=broker.send_window_seconds,
    )
    return {
        str(account): OpenAlgoBroker(
            account,
            settings.openalgo_url or "",
            key.get_secret_value(),
            str(settings.openalgo_mode),
            timeouts,
            session,
            clock=clock,
            observe=_broker_observed,
            calls_per_second=broker.calls_per_second,
            answer_limit_bytes=broker.answer_limit_bytes,
        )
        for account, key in loaded.api_keys.items()
    }


def _broker_observed(call: str, outcome: str, seconds: float) -> None:
    metrics.BROKER_CALLS.labels(call, outcome).inc()
    metrics.BROKER_SECONDS.labels(call).observe(seconds)


def database_observed(name: str, seconds: float, outcome: str) -> None:
    """Count a transaction; may be told from any thread."""
    metrics.DATABASE_SECONDS.labels(name).observe(seconds)
    if outcome == "in_doubt":
        metrics.DATABASE_DOUBTS.inc()
    if outcome != "ok":
        metrics.DATABASE_RETRIES.labels(outcome).inc()
