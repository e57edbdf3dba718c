"""The simulated broker of RATCHET_HOME: one master of its book at a time, and where it listens."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed
from ratchet.cli.simulator import simulator_server
from ratchet.config import Settings
from ratchet.config.sections import BrokerKind

log = logging.getLogger(__name__)


class HomeLock:
    """The lock on RATCHET_HOME: two processes on one folder would be two masters of its simulated broker."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.home
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock; return whether it was free."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._home / "run.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        """Take the lock. Raises CommandFailed if another process holds it."""
        if not self.take():
            raise CommandFailed(
                f"another `ratchet run` uses {self._home}: stop it, or set RATCHET_HOME to another folder", Exit.FOUND
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@asynccontextmanager
async def with_broker(settings: Settings) -> AsyncIterator[Settings]:
    """Start the simulated broker if no other one is named, and hand out settings that name it.

    The caller holds the HomeLock. The address stands in RATCHET_HOME meanwhile, for commands beside it.
    """
    if settings.openalgo_url is not None:
        yield settings
        return
    async with simulator_server(settings) as server:
        log.info("the simulated broker listens on %s", server.url, extra={"event": "listening", "url": server.url})
        address = _address_file(settings)
        address.write_text(f"{server.url}\n", encoding="utf-8")
        try:
            yield _at(settings, server.url)
        finally:
            address.unlink(missing_ok=True)


@asynccontextmanager
async def beside_broker(settings: Settings) -> AsyncIterator[Settings]:
    """Hand out settings that name a broker: the one that is set, the one that runs beside us, or one of our own."""
    if settings.openalgo_url is not None:
        yield settings
        return
    lock = HomeLock(settings)
    if not lock.take():
        yield _at(settings, _running_at(settings))
        return
    try:
        async with with_broker(settings) as found:
            yield found
    finally:
        lock.release()


def _running_at(settings: Settings) -> str:
    try:
        return _address_file(settings).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CommandFailed(
            f"`ratchet run` uses {settings.home}, but its broker does not listen yet: try again", Exit.UNREACHABLE
        ) from error


def _at(settings: Settings, url: str) -> Settings:
    broker = settings.broker.model_copy(update={"kind": BrokerKind.SIMULATOR})
    return settings.model_copy(update={"openalgo_url": url, "broker": broker})


def _address_file(settings: Settings) -> Path:
    return settings.home / "simulator.url"
