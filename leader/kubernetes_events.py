"""Moments of the leadership and its duties as Events of the cluster, on the Lease and on the pod.

Best effort: they are queued, sent one after the other with a time-out, and lost when the API server does not take them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from leader.announcing import ALARMING, Moment
from leader.kubernetes_lease import UNREACHABLE, micro_time
from ratchet.clock import Clock

log = logging.getLogger(__name__)

CONTROLLER = "ratchet.dev/leader"
CALL_SECONDS = 2.0
LAST_WORDS_SECONDS = 3.0
QUEUE_LENGTH = 100
NOTE_LENGTH = 1000
INSTANCE_LENGTH = 128


@dataclass(frozen=True, slots=True)
class _Told:
    moment: Moment
    sentence: str
    at: datetime


class KubernetesEvents:
    """Tells the cluster. lease: its name and uid; pod: name and uid of ours."""

    def __init__(
        self,
        api: client.ApiClient,
        clock: Clock,
        *,
        namespace: str,
        identity: str,
        lease: tuple[str, Callable[[], str | None]],
        pod: tuple[str, str] | None = None,
    ) -> None:
        self._api = client.EventsV1Api(api)
        self._clock = clock
        self._namespace = namespace
        self._identity = identity
        self._lease = lease
        self._pod = pod
        self._queue: asyncio.Queue[_Told] = asyncio.Queue(QUEUE_LENGTH)
        self._last: dict[Moment, str] = {}

    def __call__(self, moment: Moment, sentence: str) -> None:
        """Tell it soon. What was said last of a kind is not said again: a mismatch is found at each comparison."""
        if self._last.get(moment) == sentence or self._queue.full():
            return
        self._last[moment] = sentence
        self._queue.put_nowait(_Told(moment, sentence, self._clock.now()))

    async def run(self) -> None:
        """Send what was told until cancelled."""
        while True:
            told = await self._queue.get()
            try:
                for regarding in self._regarding():
                    await self._send(told, regarding)
            finally:
                self._queue.task_done()

    async def last_words(self) -> None:
        """Wait until everything was sent, for a moment."""
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._queue.join()
        except TimeoutError:
            log.debug("some events were not told", extra={"event": "events_lost"})

    def _regarding(self) -> list[client.V1ObjectReference]:
        name, uid = self._lease
        of_lease = client.V1ObjectReference(
            api_version="coordination.k8s.io/v1", kind="Lease", name=name, namespace=self._namespace, uid=uid()
        )
        if self._pod is None:
            return [of_lease]
        pod_name, pod_uid = self._pod
        of_pod = client.V1ObjectReference(
            api_version="v1", kind="Pod", name=pod_name, namespace=self._namespace, uid=pod_uid
        )
        return [of_lease, of_pod]

    async def _send(self, told: _Told, regarding: client.V1ObjectReference) -> None:
        event = client.EventsV1Event(
            metadata=client.V1ObjectMeta(name=f"{regarding.name}.{uuid4().hex[:16]}", namespace=self._namespace),
            event_time=micro_time(told.at),
            reporting_controller=CONTROLLER,
            reporting_instance=self._identity[-INSTANCE_LENGTH:],
            action=str(told.moment),
            reason=str(told.moment),
            type="Warning" if told.moment in ALARMING else "Normal",
            note=told.sentence[:NOTE_LENGTH],
            regarding=regarding,
        )
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._api.create_namespaced_event(self._namespace, event, _request_timeout=CALL_SECONDS)
        except (ApiException, *UNREACHABLE) as error:
            log.debug("an event was not told", extra={"event": "event_lost", "error": str(error)})
