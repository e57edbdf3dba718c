"""The label `ratchet.dev/role=leader` on the pod of who leads, so that `kubectl get pods -l` and Services find it.

Best effort, and a moment late: never a proof of who leads. It is off by default, as it takes the right to change pods.
"""

from __future__ import annotations

import asyncio
import logging

from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from leader.kubernetes_lease import UNREACHABLE
from leader.standing import Standing
from ratchet.clock import Clock

log = logging.getLogger(__name__)

LABEL = "ratchet.dev/role"
LEADER = "leader"
LOOK_SECONDS = 0.25
AGAIN_SECONDS = 5.0
CALL_SECONDS = 2.0


class RoleLabel:
    """Keeps the label of one pod, ours, in line with whether we lead."""

    def __init__(self, api: client.ApiClient, clock: Clock, *, namespace: str, pod: str) -> None:
        self._api = client.CoreV1Api(api)
        self._clock = clock
        self._namespace = namespace
        self._pod = pod
        self._shown: bool | None = None  # the container before us in this pod may have left it there

    async def follow(self, standing: Standing) -> None:
        """Keep it so until cancelled."""
        while True:
            await self._clock.sleep(LOOK_SECONDS if await self._look(standing) else AGAIN_SECONDS)

    async def last_look(self, standing: Standing) -> None:
        """Bring it in line once more, at the end."""
        await self._look(standing)

    async def _look(self, standing: Standing) -> bool:
        leads = standing.epoch is not None
        if leads is self._shown:
            return True
        patch = {"metadata": {"labels": {LABEL: LEADER if leads else None}}}
        self._shown = None  # whatever becomes of the call
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._api.patch_namespaced_pod(
                    self._pod,
                    self._namespace,
                    patch,
                    _content_type="application/merge-patch+json",
                    _request_timeout=CALL_SECONDS,
                )
        except (ApiException, *UNREACHABLE) as error:
            why = f"the API server answered {error.status}" if isinstance(error, ApiException) else str(error)
            log.debug("the pod's label was not set", extra={"event": "label_missed", "error": why})
            return False
        self._shown = leads
        return True
