"""The lease as a `coordination.k8s.io/v1` Lease object of the cluster that this process runs in.

Written by optimistic replacement: a PUT with the resourceVersion that was seen, so that of two writers one gets 409.
Standbys watch the object and ask for nothing meanwhile. Nothing here decides who may lead or write: that is the
elector's step, and the fence in the database.

The package's own leader election is not used: it stops for no API server that cannot be reached, has no time-outs, and
reports no transitions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp
from kubernetes.aio import client, config, watch
from kubernetes.aio.client.exceptions import ApiException

from leader.lease import LeaseConflict, LeaseUnavailable, Record
from ratchet.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")
Annotations = Callable[[], Mapping[str, str]]

_UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)
_GONE = 410
_WATCH_SECONDS = 300
_CONFLICTS = frozenset({404, 409})
"""Of a replacement: it was written in between, or is gone."""


def micro_time(at: datetime) -> str:
    """Return an instant as the API wants it: UTC, always six digits, `Z`. Anything else is answered 400."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def connect(kubeconfig: str | None) -> client.ApiClient:
    """Return a client for the cluster: by a kubeconfig file, or by the pod's own service account.

    Raises config.ConfigException if there is neither.
    """
    configuration = client.Configuration()
    if kubeconfig is not None:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, client_configuration=configuration
        )
    else:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return client.ApiClient(configuration)


class KubernetesLease:
    """One Lease object. request_timeout: seconds of one call. quiet: seconds after which a silent watch is renewed."""

    def __init__(
        self,
        api: client.ApiClient,
        clock: Clock,
        *,
        namespace: str,
        name: str,
        request_timeout: float,
        quiet: float,
        annotations: Annotations = dict,
    ) -> None:
        self._api = client.CoordinationV1Api(api)
        self._clock = clock
        self._namespace = namespace
        self._name = name
        self._request_timeout = request_timeout
        self._quiet = quiet
        self._annotations = annotations
        self._acquired: str | None = None
        self._kept: Mapping[str, str] = {}
        self._watching: asyncio.Task[None] | None = None
        self._watched: Record | None = None
        self._changed = asyncio.Event()

    async def get(self) -> Record | None:
        """Return the record, or None if there is none. Raises LeaseUnavailable."""
        try:
            return self._seen(
                await self._call(
                    self._api.read_namespaced_lease(self._name, self._namespace, _request_timeout=self._request_timeout)
                )
            )
        except LeaseConflict:
            return None

    async def create(self, *, holder: str, duration_seconds: int) -> Record:
        """Make the object. Raises LeaseConflict, LeaseUnavailable."""
        self._acquired = self._now()
        body = self._body(holder, duration_seconds, transitions=0, version=None)
        return self._seen(
            await self._call(
                self._api.create_namespaced_lease(self._namespace, body, _request_timeout=self._request_timeout)
            )
        )

    async def replace(self, seen: Record, *, holder: str, duration_seconds: int, transitions: int) -> Record:
        """Write over the version that was seen. Raises LeaseConflict, LeaseUnavailable."""
        if holder != seen.holder or self._acquired is None:
            self._acquired = self._now()
        body = self._body(holder, duration_seconds, transitions=transitions, version=seen.version)
        written = await self._call(
            self._api.replace_namespaced_lease(
                self._name, self._namespace, body, _request_timeout=self._request_timeout
            )
        )
        return self._seen(written)

    async def wait(self, seen: Record | None, timeout: float) -> Record | None:
        """Return the record as soon as it differs from `seen`, or what is known when `timeout` seconds are over.

        Raises LeaseUnavailable. One watch goes on from call to call, from the version that was seen, so that no change
        is missed and nothing is polled.
        """
        if seen is None:
            await self._clock.sleep(timeout)
            return await self.get()
        if self._watching is None or self._watching.done():
            self._watched, self._changed = seen, asyncio.Event()
            self._watching = asyncio.create_task(self._watch(seen), name="watch the lease")
        if self._watched == seen:
            changed = asyncio.create_task(self._changed.wait(), name="until the lease changes")
            try:
                await asyncio.wait([changed, self._watching], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
        self._changed.clear()
        if self._watching.done():
            self._watching.result()  # raises why the watch has ended
        return self._watched

    async def close(self) -> None:
        """End the watch."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
            self._watching = None

    async def _watch(self, seen: Record) -> None:
        """Follow the object until it cannot be reached. Raises LeaseUnavailable."""
        record: Record | None = seen
        while True:
            if record is not None:
                record = await self._stream(record)
            if record is None:
                await self._clock.sleep(min(1.0, self._quiet))
            # after a quiet spell, a lost watch or a forgotten version: what is there now?
            record = await self.get()
            self._note(record)

    async def _stream(self, seen: Record) -> Record | None:
        """Note each change until the server ends the watch, or it is silent for too long; return the last record."""
        stream = watch.Watch()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(self._quiet + self._request_timeout) as silence:
                async for event in stream.stream(  # type: ignore[no-untyped-call]
                    self._api.list_namespaced_lease,
                    self._namespace,
                    field_selector=f"metadata.name={self._name}",
                    resource_version=seen.version,
                    timeout_seconds=_WATCH_SECONDS,
                    _request_timeout=_WATCH_SECONDS + self._request_timeout,
                ):
                    silence.reschedule(asyncio.get_running_loop().time() + self._quiet + self._request_timeout)
                    if event["type"] == "DELETED":
                        return None
                    seen = self._seen(event["object"])
                    self._note(seen)
        except ApiException as error:
            if error.status != _GONE:
                raise LeaseUnavailable(_words(error)) from error
        except _UNREACHABLE as error:
            log.debug("the watch was silent or broken", extra={"event": "watch_lost", "error": str(error)})
        finally:
            stream.stop()  # type: ignore[no-untyped-call]
        return seen

    def _note(self, record: Record | None) -> None:
        if record != self._watched:
            self._watched = record
            self._changed.set()

    def _body(self, holder: str, duration_seconds: int, *, transitions: int, version: str | None) -> client.V1Lease:
        return client.V1Lease(
            metadata=client.V1ObjectMeta(
                name=self._name,
                namespace=self._namespace,
                resource_version=version,
                annotations={**self._kept, **self._annotations()},
            ),
            spec=client.V1LeaseSpec(
                holder_identity=holder,
                lease_duration_seconds=duration_seconds,
                acquire_time=self._acquired,
                renew_time=self._now(),
                lease_transitions=transitions,
            ),
        )

    def _seen(self, lease: Any) -> Record:
        spec, meta = lease.spec, lease.metadata
        self._kept = meta.annotations or {}
        renewed = spec.renew_time
        return Record(
            uid=meta.uid,
            holder=spec.holder_identity or "",
            duration_seconds=spec.lease_duration_seconds or 1,
            renewed="" if renewed is None else str(renewed),
            transitions=spec.lease_transitions or 0,
            version=meta.resource_version,
        )

    def _now(self) -> str:
        return micro_time(self._clock.now())

    async def _call(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except ApiException as error:
            if error.status in _CONFLICTS:
                raise LeaseConflict(_words(error)) from error
            raise LeaseUnavailable(_words(error)) from error
        except _UNREACHABLE as error:
            raise LeaseUnavailable(str(error) or type(error).__name__) from error


def _words(error: ApiException) -> str:
    return f"the API server answered {error.status} {error.reason}"
