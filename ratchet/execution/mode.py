"""The mode of OpenAlgo, read by every pod again and again: in the wrong one entries stop at once.

The leader's audit reads it too, but a pod must not depend on there being a leader. Source: docs/protocol.md, section 1
(A5).
"""

from __future__ import annotations

import logging

from ratchet.brokers.base import BrokerError, WrongMode
from ratchet.execution import record
from ratchet.observability import metrics
from ratchet.persistence.errors import PersistenceError
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)


class ModeWatch:
    """Reads the mode for one process. seen: what OpenAlgo said last; None before that, or while it does not answer."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self.seen: str | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await self._rt.clock.sleep(self._rt.settings.broker.mode_check_seconds)

    async def look(self) -> None:
        """Ask once. One account's answer is enough: the mode belongs to the server, which all accounts share."""
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
