"""Hints over Redis (or Valkey). Every call ends within the time-out; every key has a time to live.

A server that is away, slow, full or broken turns each answer into "unknown". After a few errors it is left alone and
tried again by one task at a time. Losing a connection loses rings, so listeners are rung once it is back.
Source: docs/protocol.md, section 10.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, RedisError

from ratchet.clock import Clock
from ratchet.coordination.base import (
    FIRST_SIGHT_SECONDS,
    Answer,
    Hold,
    Observe,
    Operation,
    Waiter,
)
from ratchet.coordination.bell import Bell
from ratchet.coordination.breaker import Breaker, Circuit
from ratchet.coordination.fallback import UnknownHold
from ratchet.coordination.listener import Listener
from ratchet.coordination.measuring import count, kind_of, show

log = logging.getLogger(__name__)

# A lock is only touched by the one whose token it carries: ours may have run out and been taken by somebody else.
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"
RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end"


class _NoAnswer(Exception):
    """The server said nothing that can be used."""


class RedisHold:
    """A lock kept by the server, renewed each third of its time until released."""

    def __init__(self, hints: RedisHints, key: str, token: str, seconds: float) -> None:
        self.known = True
        self._hints = hints
        self._key = key
        self._token = token
        self._seconds = seconds
        self._renewing = asyncio.create_task(self._renew_until_lost(), name=f"renew {key}")

    async def renew(self) -> bool:
        """Start its time again; return False if it ran out or somebody else has it."""
        try:
            kept = await self._hints.run_script(
                Operation.RENEW,
                RENEW,
                self._key,
                self._token,
                _milliseconds(self._seconds),
            )
        except _NoAnswer:
            return True
        self.known = self.known and kept
        return kept

    async def release(self) -> None:
        """Give it back, if it is still ours; without an answer it runs out by itself."""
        self._renewing.cancel()
        try:
            await self._hints.run_script(Operation.RELEASE, RELEASE, self._key, self._token)
        except _NoAnswer:
            log.debug(
                "a lock could not be given back and will run out",
                extra={"event": "lock_left", "lock": self._key},
            )

    async def __aenter__(self) -> Self:
        """Return the hold."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release."""
        await self.release()

    async def _renew_until_lost(self) -> None:
        while self.known:
            await self._hints.clock.sleep(self._seconds / 3)
            await self.renew()


class RedisHints:
    """The hints of an installation with Redis. `timeout`: seconds that one call may take in all."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        prefix: str = "ratchet:",
        timeout: float = 0.1,
        connections: int = 16,
        breaker: Breaker | None = None,
        observe: Observe = count,
    ) -> None:
        self.clock = clock
        self._prefix = prefix
        self._timeout = timeout
        self._observe = observe
        self._breaker = breaker or Breaker(clock)
        self._bell = Bell()
        self._client = _client(url, timeout, connections)
        self._listener = Listener(self._client, f"{prefix}wake:", self._bell, clock)
        self._healthy = True
        show(self._breaker.circuit)

    @property
    def healthy(self) -> bool:
        """Whether the server answered when it was last asked."""
        return self._healthy and self._breaker.circuit is Circuit.CLOSED

    @property
    def circuit(self) -> Circuit:
        """The state of the circuit breaker."""
        return self._breaker.circuit

    async def first_sight(self, keys: Sequence[str]) -> list[bool | None]:
        """Mark the keys as seen, in one round trip; None for those of which the server says nothing."""
        if not keys:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.set(
                f"{self._prefix}seen:{key}",
                b"1",
                nx=True,
                px=FIRST_SIGHT_SECONDS * 1000,
            )
        try:
            replies = await self._ask(Operation.FIRST_SIGHT, lambda: pipeline.execute(raise_on_error=False))
        except _NoAnswer:
            return [None] * len(keys)
        return [None if isinstance(reply, Exception) else reply is not None for reply in replies]

    async def hold(self, name: str, seconds: float) -> Hold | None:
        """Take the lock `name` for `seconds`, renewed until released; None if somebody else has it."""
        key, token = f"{self._prefix}lock:{name}", secrets.token_hex(16)
        try:
            taken = await self._ask(
                Operation.HOLD,
                lambda: self._client.set(key, token, nx=True, px=_milliseconds(seconds)),
                _contended,
                kind_of(name),
            )
        except _NoAnswer:
            return UnknownHold()
        return RedisHold(self, key, token, seconds) if taken else None

    async def wake(self, topic: str) -> None:
        """Ring in this process, and in the others if the server passes it on."""
        self._bell.ring(topic)
        try:
            await self._ask(Operation.WAKE, lambda: self._client.publish(f"{self._prefix}wake:{topic}", b""))
        except _NoAnswer:
            log.debug(
                "other processes were not woken",
                extra={"event": "wake_lost", "topic": topic},
            )

    def ring(self, topic: str) -> None:
        """Ring in this process only."""
        self._bell.ring(topic)

    @asynccontextmanager
    async def waiting(self, topic: str) -> AsyncIterator[Waiter]:
        """Listen to a topic for the time of the block."""
        self._listener.start()
        async with self._bell.waiting(topic) as waiter:
            yield waiter

    async def close(self) -> None:
        """End the listener and close the connections."""
        await self._listener.stop()
        await self._client.aclose()

    async def run_script(self, operation: Operation, script: str, key: str, *arguments: str | int) -> bool:
        """Run one of the lock scripts and return whether the lock was still ours. For holds only."""
        reply = await self._ask(operation, lambda: self._client.eval(script, 1, key, *arguments), _contended)
        return bool(reply)

    async def _ask(
        self,
        operation: Operation,
        call: Callable[[], Awaitable[Any]],
        judge: Callable[[Any], Answer] = lambda reply: _full_or_ok(reply),
        lock: str = "",
    ) -> Any:
        """Return the server's reply. Raises _NoAnswer when there is none, or when the breaker is open."""
        if not self._breaker.permits():
            self._observe(operation, Answer.SKIPPED, 0.0, lock)
            raise _NoAnswer
        started = self.clock.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                reply = await call()
        except OutOfMemoryError as error:
            # It answers, so it is not left alone: locks can still be given back and rings passed on.
            self._note(ok=True)
            self._observe(operation, Answer.FULL, self.clock.monotonic() - started, lock)
            raise _NoAnswer from error
        except (RedisError, OSError, TimeoutError) as error:
            self._note(ok=False)
            self._observe(operation, Answer.ERROR, self.clock.monotonic() - started, lock)
            raise _NoAnswer from error
        except BaseException:
            self._breaker.abandoned()
            raise
        self._note(ok=True)
        self._observe(operation, judge(reply), self.clock.monotonic() - started, lock)
        return reply

    def _note(self, *, ok: bool) -> None:
        before = self._breaker.circuit
        if ok:
            self._breaker.succeeded()
        else:
            self._breaker.failed()
        self._healthy = ok
        after = self._breaker.circuit
        show(after)
        if after is not before and after is Circuit.OPEN and before is Circuit.CLOSED:
            log.warning("redis does not answer and is left alone", extra={"event": "redis_lost"})
        elif after is not before and after is Circuit.CLOSED:
            log.info("redis answers again", extra={"event": "redis_back"})


def _client(url: str, timeout: float, connections: int) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        # The library would repeat a call three times by itself, far beyond our time-out.
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return Redis(connection_pool=pool)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _contended(reply: Any) -> Answer:
    return Answer.OK if reply else Answer.CONTENDED


def _full_or_ok(reply: Any) -> Answer:
    if isinstance(reply, list) and any(isinstance(item, OutOfMemoryError) for item in reply):
        return Answer.FULL
    return Answer.OK
