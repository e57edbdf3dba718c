"""The mode of OpenAlgo and its plugin, read by every pod again and again: with the wrong one entries stop at once.

The leader's audit reads the mode too, but a pod must not depend on there being a leader. Source: docs/protocol.md,
section 1 (A3, A5).
"""

from __future__ import annotations

import asyncio
import logging

from ratchet.brokers.base import REPEATING_PLUGINS, BrokerError, WrongMode
from ratchet.execution import record
from ratchet.observability import metrics
from ratchet.persistence.errors import PersistenceError
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)


class ModeWatch:
    """Reads the mode and the plugin for one process.

    seen: the mode that OpenAlgo said last; None before that, or while it does not answer. looked: set after the first
    look, whatever it showed.
    """

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self.seen: str | None = None
        self.looked = asyncio.Event()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await self._rt.clock.sleep(self._rt.settings.broker.mode_check_seconds)

    async def look(self) -> None:
        """Ask once. One account's answer is enough: mode and plugin are the server's, which all accounts share."""
        await self._look_at_mode()
        if self.seen is not None:
            await self._look_at_plugin()
        self.looked.set()

    async def _look_at_plugin(self) -> None:
        account = min(self._rt.brokers)
        try:
            plugin = await self._rt.broker(account).ping()
        except BrokerError as error:
            log.info("the plugin's name cannot be read", extra={"event": "no_plugin", "why": str(error)})
            return
        if plugin in REPEATING_PLUGINS:
            await self._stop(account, f"OpenAlgo's plugin {plugin} repeats orders by itself: one may become two")

    async def _look_at_mode(self) -> None:
        rt, configured = self._rt, str(self._rt.settings.openalgo_mode)
        account = min(rt.brokers)
        try:
            self.seen = await rt.broker(account).mode()
            metrics.DEGRADED.labels(metrics.Part.BROKER).set(0)
            if self.seen != configured:
                raise WrongMode(f"OpenAlgo is in {self.seen} mode, {configured} is configured")
        except WrongMode as error:
            metrics.BROKER_MODE_OK.set(0)
            await self._stop(account, str(error))
        except BrokerError as error:
            self.seen = None
            metrics.DEGRADED.labels(metrics.Part.BROKER).set(1)
            log.warning("the broker's mode cannot be read", extra={"event": "no_mode", "why": str(error)})
        else:
            metrics.BROKER_MODE_OK.set(1)

    async def _stop(self, account: str, why: str) -> None:
        try:
            await record.stop_sending(self._rt, account, why)
        except PersistenceError as error:  # nothing can be sent without the database either; the next look tries again
            log.warning("sending is not stopped yet", extra={"event": "stop_failed", "error": str(error)})
