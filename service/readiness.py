"""Whether requests should come here, and what a person sees in /health: looked at once a second, not on each request.

A database that went away makes each request fail with 503 and Retry-After at once, but the pod unready only after a
while: a fail-over must not empty the whole service. Source: docs/kubernetes.md, section on shutdown.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import ratchet
from ratchet.observability import metrics
from ratchet.observability.probes import Verdict
from ratchet.persistence.errors import PersistenceError, PoolExhausted, StatementFailed
from ratchet.persistence.lists import Standing, standing
from ratchet.persistence.revision import newest, serves
from ratchet.runtime import Runtime
from service.drain import Drain

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Pause between two looks at the database."""

LOOK_LIMIT_SECONDS = 3.0
"""A look that takes longer has found nothing."""

REFUSAL_SECONDS = 5.0
"""An accept that could not be made durable makes the pod say read-only for this long."""


class Readiness:
    """What was seen last. leads: whether this process leads; None for one that never does."""

    def __init__(self, rt: Runtime, drain: Drain, *, leads: Callable[[], bool] | None = None) -> None:
        self._rt = rt
        self._drain = drain
        self._leads = leads
        self._born = rt.clock.monotonic()
        self._seen_at: float | None = None
        self._away_since: float | None = self._born
        self._refused_at: float | None = None
        self._cause = "not looked at yet"
        self._standing: Standing | None = None
        self.open_requests: Callable[[], int] = lambda: 0

    async def watch(self, stop: asyncio.Event) -> None:
        """Look again and again until `stop` is set; a look that has begun is ended first."""
        while not stop.is_set():
            await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()

    async def look(self) -> None:
        """Look at the database once."""
        try:
            async with asyncio.timeout(LOOK_LIMIT_SECONDS), self._rt.db.reading(name="look") as tx:
                self._found(await standing(tx))
        except StatementFailed:
            self._found(None)
        except PoolExhausted:
            return  # our own lists are slow; that says nothing about the database
        except (PersistenceError, TimeoutError) as error:
            self._lost(str(error) or "no answer in time")

    def refused(self) -> None:
        """Take note that an accept could not be made durable."""
        self._refused_at = self._rt.clock.monotonic()

    def accepted(self) -> None:
        """Take note that an accept was made durable."""
        self._refused_at = None

    @property
    def migrated(self) -> bool:
        """Whether the schema is new enough."""
        return self._standing is not None and serves(self._standing.revision)

    @property
    def read_only(self) -> bool:
        """Whether signals can hardly be made durable just now."""
        if self._away_since is not None or self._standing is None or not self._standing.writable:
            return True
        return self._refused_at is not None and self._rt.clock.monotonic() - self._refused_at < REFUSAL_SECONDS

    def alive(self) -> Verdict:
        """Whether the process can still work: it can, since it answers. Never about the database."""
        return Verdict(True)

    async def ready(self) -> Verdict:
        """Whether requests should come here. Draining changes nothing: whoever balances learns of it another way."""
        if self._seen_at is None:
            return Verdict(False, {"reason": "the database was not reached yet", "cause": self._cause})
        if not self.migrated:
            return Verdict(False, {"reason": "the database is not migrated: run `ratchet migrate up`"})
        away = self._away_seconds()
        if away > self._rt.settings.database.unready_after_seconds:
            return Verdict(False, {"reason": f"the database is away for {away:.0f} s", "cause": self._cause})
        return Verdict(True, {"read_only": self.read_only})

    async def health(self) -> Mapping[str, Any]:
        """Return everything that is known, for people."""
        rt, seen = self._rt, self._standing
        ready = (await self.ready()).ok
        status = "draining" if self._drain.draining else "unready" if not ready else "ok"
        if status == "ok" and self.read_only:
            status = "read_only"
        return {
            "status": status,
            "version": ratchet.__version__,
            "instance": rt.boot_id,
            "leader": None if self._leads is None else self._leads(),
            "draining": self._drain.draining,
            "read_only": self.read_only,
            "database": {
                "kind": rt.db.dialect,
                "reachable": self._away_since is None,
                "away_seconds": round(self._away_seconds(), 1),
                "writable": seen is not None and seen.writable,
                "cause": self._cause,
            },
            "schema": {
                "found": None if seen is None else seen.revision,
                "wanted": newest(),
                "current": self.migrated,
            },
            "redis": {"configured": rt.settings.redis_url is not None, "healthy": rt.hints.healthy},
            "broker": {
                "kind": rt.settings.broker_kind,
                "mode": rt.settings.openalgo_mode,
                "accounts": len(rt.brokers),
            },
            "leadership": None if seen is None else seen.leadership,
            "sending": None if seen is None else seen.sending,
            "open_requests": self.open_requests(),
            "uptime_seconds": round(rt.clock.monotonic() - self._born, 1),
        }

    def _found(self, found: Standing | None) -> None:
        if self._away_since is not None:
            log.info("database reached", extra={"event": "database_reached", "migrated": found is not None})
        self._standing = found
        self._seen_at = self._rt.clock.monotonic()
        self._away_since = None
        self._cause = ""
        if found is not None and found.sending:
            for side in ("entries", "exits"):
                metrics.SENDING_ALLOWED.labels(side).set(found.sending[f"{side}_on"])
        metrics.DEGRADED.labels(metrics.Part.DATABASE).set(0)

    def _lost(self, cause: str) -> None:
        if self._away_since is None:
            self._away_since = self._rt.clock.monotonic()
            log.warning("database away", extra={"event": "database_away", "cause": cause})
        self._cause = cause
        metrics.DEGRADED.labels(metrics.Part.DATABASE).set(1)

    def _away_seconds(self) -> float:
        return 0.0 if self._away_since is None else self._rt.clock.monotonic() - self._away_since
