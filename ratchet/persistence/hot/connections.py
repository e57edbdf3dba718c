"""Opening connections, and the pool that keeps them.

A pool of our own, because asyncpg's runs a query at each release and makes two tasks for each use. Sessions here keep
no state between transactions (no SET, no advisory locks, no temporary tables), so a returned connection needs no reset.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from ratchet.clock import Clock
from ratchet.persistence.errors import DRIVER_ERRORS, DatabaseUnavailable, NoPrimary, PoolExhausted
from ratchet.persistence.options import DatabaseOptions

_STATEMENT_CACHE = 512
_LONGEST_CACHED_SQL = 65_536
_ANSWER_MARGIN_SECONDS = 2.5
"""The client waits this much longer than the server's own statement time-out, so that the server speaks first."""


_STEADY_PLANS = {
    # Statements here touch few rows by an index, whatever the tables hold. Left to itself the planner would plan them
    # on empty tables, keep scanning whole tables for as long as the plan lives, and plan those that touch a
    # partitioned table again at each execution.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


async def connect(
    options: DatabaseOptions, *, steady_plans: bool = False, any_server: bool = False
) -> asyncpg.Connection:
    """Open one connection to the primary. Raises NoPrimary if none of the servers takes writes, DatabaseUnavailable.

    steady_plans: for short statements that find their rows by an index: planned once, never by a scan or a hash.
    any_server: one that takes no writes will do.
    """
    try:
        async with asyncio.timeout(options.connect_timeout_seconds):
            return await asyncpg.connect(
                options.dsn,
                timeout=options.connect_timeout_seconds,
                command_timeout=options.statement_timeout_seconds + _ANSWER_MARGIN_SECONDS,
                statement_cache_size=_STATEMENT_CACHE,
                max_cached_statement_lifetime=0,
                max_cacheable_statement_size=_LONGEST_CACHED_SQL,
                target_session_attrs="any" if any_server else "read-write",
                server_settings=_server_settings(options) | (_STEADY_PLANS if steady_plans else {}),
            )
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise NoPrimary("no server that takes writes") from error
    except (*DRIVER_ERRORS, ValueError) as error:
        sqlstate = getattr(error, "sqlstate", None)
        raise DatabaseUnavailable(f"cannot connect: {type(error).__name__}: {error}", sqlstate=sqlstate) from error


def _server_settings(options: DatabaseOptions) -> dict[str, str]:
    """Return what each session is started with. Needs PostgreSQL 14 or later."""
    return {
        "application_name": options.application_name,
        "timezone": "UTC",
        "jit": "off",  # statements are short: compiling them costs more than it saves
        "default_transaction_isolation": "read committed",
        "statement_timeout": _milliseconds(options.statement_timeout_seconds),
        "lock_timeout": _milliseconds(options.lock_timeout_seconds),
        "idle_in_transaction_session_timeout": _milliseconds(options.idle_in_transaction_timeout_seconds),
        # A client that vanished must not keep its rows locked: noticed within seconds, not after TCP's two hours.
        "client_connection_check_interval": "2000",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "10000",
    }


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


@dataclass(slots=True, eq=False)
class Member:
    """A connection of the pool. warned: the server has sent a warning since this was last set to False."""

    connection: asyncpg.Connection
    generation: int
    born: float
    warned: bool = False

    def listen_for_warnings(self) -> None:
        """Note from now on that a warning came."""
        self.connection.add_log_listener(self._on_message)

    def _on_message(self, _: object, message: object) -> None:
        # The untranslated severity: lc_messages may be any language.
        if getattr(message, "severity_en", None) == "WARNING":
            self.warned = True


class ConnectionPool:
    """At most `size` connections, opened when needed, replaced when old, all dropped together after a fail-over."""

    def __init__(
        self, open_one: Callable[[], Awaitable[asyncpg.Connection]], options: DatabaseOptions, clock: Clock
    ) -> None:
        self._open_one = open_one
        self._options = options
        self._clock = clock
        self._slots = asyncio.Semaphore(options.pool_size)
        self._idle: list[Member] = []
        self._in_use: set[Member] = set()
        self._generation = 0
        self._closed = False
        self.waiting = 0
        """Tasks that wait for a connection."""

    @property
    def in_use(self) -> int:
        """Connections handed out now."""
        return len(self._in_use)

    async def acquire(self) -> Member:
        """Return a connection. Raises PoolExhausted, DatabaseUnavailable."""
        await self._take_slot()
        try:
            member = self._pop_idle() or await self._new_member()
        except BaseException:
            self._slots.release()
            raise
        self._in_use.add(member)
        return member

    def release(self, member: Member, *, broken: bool) -> None:
        """Take a connection back; a broken one is cut off."""
        self._in_use.discard(member)
        if broken or self._closed or not self._usable(member):
            _cut(member)
        else:
            self._idle.append(member)
        self._slots.release()

    def renew(self) -> None:
        """Drop every connection: those in use when they come back, the idle ones now."""
        self._generation += 1
        while self._idle:
            _cut(self._idle.pop())

    async def close(self) -> None:
        """Close idle connections in an orderly way; those still in use are cut off."""
        self._closed = True
        idle, self._idle = self._idle, []
        for member in idle:
            try:
                await member.connection.close(timeout=1.0)
            except DRIVER_ERRORS:
                _cut(member)
        for member in self._in_use:
            _cut(member)

    async def _take_slot(self) -> None:
        if not self._slots.locked():
            await self._slots.acquire()  # does not suspend
            return
        self.waiting += 1
        try:
            async with asyncio.timeout(self._options.pool_timeout_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            seconds = self._options.pool_timeout_seconds
            raise PoolExhausted(f"no connection became free within {seconds} s", connection_lost=False) from error
        finally:
            self.waiting -= 1

    def _pop_idle(self) -> Member | None:
        while self._idle:
            member = self._idle.pop()  # the most recently used: spares grow old and go
            if self._usable(member):
                return member
            _cut(member)
        return None

    def _usable(self, member: Member) -> bool:
        young = self._clock.monotonic() - member.born < self._options.pool_recycle_seconds
        return young and member.generation == self._generation and not member.connection.is_closed()

    async def _new_member(self) -> Member:
        generation = self._generation
        member = Member(await self._open_one(), generation, self._clock.monotonic())
        member.listen_for_warnings()
        return member


def _cut(member: Member) -> None:
    member.connection.terminate()
