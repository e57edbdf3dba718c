"""The lease as a `coordination.k8s.io/v1` Lease object of the cluster that this process runs in.

Written by optimistic replacement: a PUT with the resourceVersion that was seen, so that of two writers one gets 409.
Standbys watch the object and ask for nothing meanwhile. Nothing here decides who may lead or write: that is the
elector's step, and the fence in the database.

The package's own leader election is not used: it stops for no API server that cannot be reached, has no time-outs, and
reports no transitions.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from leader.lease import LeaseConflict, LeaseUnavailable, Record
from ratchet.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")
Annotations = Callable[[], Mapping[str, str | None]]
"""What the lease shows besides its holder, by annotation; None removes one."""

HAND_OVER_TO = "ratchet.dev/hand-over-to"
"""Set by people: the leader gives the lease back, to a pod or to `any`. Each write of ours clears it."""

UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError, ValueError)
"""What a call raises besides ApiException when there is no answer, or none that makes sense."""

_NOT_FOUND = 404
_CONFLICT = 409
_GONE = 410
_WATCH_SECONDS = 300
_BREATH_SECONDS = 0.1
"""Between two watches; a change in between is found by the read that follows."""


class MicroTime(datetime):
    """An instant as the API wants it: UTC, always six digits, `Z`. Anything else is answered 400."""

    def isoformat(self, *_: object, **__: object) -> str:
        """Return it so; the client writes an instant with this method, which elsewhere drops zero microseconds."""
        return self.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def micro_time(at: datetime) -> MicroTime:
    """Return the same instant."""
    return MicroTime.fromtimestamp(at.timestamp(), UTC)


async def connect(kubeconfig: Path | None) -> client.ApiClient:
    """Return a client for the cluster: by a kubeconfig file, or by the pod's own service account.

    Raises config.ConfigException if there is neither.
    """
    configuration = client.Configuration()
    if kubeconfig is not None:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig), client_configuration=configuration
        )
    else:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return client.ApiClient(configuration)


@asynccontextmanager
async def connected(kubeconfig: Path | None) -> AsyncIterator[client.ApiClient]:
    """Hand out such a client for the time of the block."""
    api = await connect(kubeconfig)
    try:
        yield api
    finally:
        await api.close()  # type: ignore[no-untyped-call]


class KubernetesLease:
    """One Lease object. request_timeout: seconds of one call. quiet: seconds after which a silent watch is renewed.

    owner: with which it is deleted, if we make it.
    """

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
        owner: client.V1OwnerReference | None = None,
    ) -> None:
        self._api = client.CoordinationV1Api(api)
        self._clock = clock
        self._namespace = namespace
        self._name = name
        self._request_timeout = request_timeout
        self._quiet = quiet
        self._annotations = annotations
        self._owner = owner
        self._object: Any = None
        self._watching: asyncio.Task[None] | None = None
        self._watched: Record | None = None
        self._changed = asyncio.Event()

    async def get(self) -> Record | None:
        """Return the record, or None if there is none. Raises LeaseUnavailable."""
        self._end_watch()
        return await self._read()

    async def create(self, *, holder: str, duration_seconds: int) -> Record:
        """Make the object. Raises LeaseConflict, LeaseUnavailable."""
        self._end_watch()
        owners = [self._owner] if self._owner else None
        meta = client.V1ObjectMeta(name=self._name, namespace=self._namespace, owner_references=owners)
        self._object = client.V1Lease(metadata=meta, spec=client.V1LeaseSpec())
        body = self._body(None, holder, duration_seconds, transitions=0)
        created = self._api.create_namespaced_lease(self._namespace, body, _request_timeout=self._request_timeout)
        return self._seen(await self._call(created, _CONFLICT))

    async def replace(self, seen: Record, *, holder: str, duration_seconds: int, transitions: int) -> Record:
        """Write over the version that was seen. Raises LeaseConflict, LeaseUnavailable."""
        self._end_watch()
        body = self._body(seen, holder, duration_seconds, transitions=transitions)
        written = self._api.replace_namespaced_lease(
            self._name, self._namespace, body, _request_timeout=self._request_timeout
        )
        return self._seen(await self._call(written, _CONFLICT, _NOT_FOUND))

    async def wait(self, seen: Record | None, timeout: float) -> Record | None:
        """Return the record as soon as it differs from `seen`, or what is known when `timeout` seconds are over.

        Raises LeaseUnavailable. One watch goes on from call to call, from the version that was seen, so that no change
        is missed and nothing is polled; any other call ends it.
        """
        if seen is None:
            await self._clock.sleep(timeout)
            return await self._read()
        if self._watching is None:
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
            ended, self._watching = self._watching, None
            ended.result()  # raises why the watch has ended
        return self._watched

    async def delete(self, seen: Record) -> None:
        """Delete it as it was seen. Raises LeaseConflict, LeaseUnavailable."""
        condition = client.V1Preconditions(resource_version=seen.version, uid=seen.uid)
        deleted = self._api.delete_namespaced_lease(
            self._name,
            self._namespace,
            body=client.V1DeleteOptions(preconditions=condition),
            _request_timeout=self._request_timeout,
        )
        await self._call(deleted, _CONFLICT, _NOT_FOUND)

    @property
    def uid(self) -> str | None:
        """The object's uid, as far as it was ever seen."""
        return None if self._object is None else self._object.metadata.uid

    async def close(self) -> None:
        """End the watch; the connections are those of who opened them."""
        self._end_watch()

    def _end_watch(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            if self._watching.done() and not self._watching.cancelled():
                self._watching.exception()  # of no interest any more
            self._watching = None

    async def _watch(self, seen: Record) -> None:
        """Follow the object until it cannot be reached. Raises LeaseUnavailable."""
        record: Record | None = seen
        while True:
            if record is not None:
                await self._follow(record)
            await self._clock.sleep(_BREATH_SECONDS if record is not None else min(1.0, self._quiet))
            # after a quiet spell, a lost watch or a forgotten version: what is there now?
            record = await self._read()
            self._note(record)

    async def _follow(self, seen: Record) -> None:
        """Note each change until the server ends the watch, is silent for too long, or has forgotten the version."""
        try:
            async with aclosing(self._changes(seen.version)) as changes:
                while True:
                    async with asyncio.timeout(self._quiet + self._request_timeout):
                        change = await anext(changes, None)
                    if change is None or change["type"] not in ("ADDED", "MODIFIED", "BOOKMARK"):
                        return
                    if change["type"] != "BOOKMARK":
                        self._note(self._seen(client.V1Lease.from_dict(change["object"])))
        except ApiException as error:
            if error.status != _GONE:
                raise LeaseUnavailable(words(error)) from error
        except UNREACHABLE as error:
            log.debug("the watch was silent or broken", extra={"event": "watch_lost", "error": str(error)})

    async def _changes(self, version: str) -> AsyncGenerator[Any, None]:
        """Yield the events of one watch as they come."""
        answer = await self._api.list_namespaced_lease_without_preload_content(
            self._namespace,
            field_selector=f"metadata.name={self._name}",
            resource_version=version,
            timeout_seconds=_WATCH_SECONDS,
            watch=True,
            _request_timeout=_WATCH_SECONDS + self._request_timeout,
        )
        try:
            if answer.status >= 400:
                raise ApiException(status=answer.status, reason=answer.reason)
            while line := await answer.content.readline():
                yield json.loads(line)
        finally:
            answer.close()

    def _note(self, record: Record | None) -> None:
        if record != self._watched:
            self._watched = record
            self._changed.set()

    async def _read(self) -> Record | None:
        reading = self._api.read_namespaced_lease(self._name, self._namespace, _request_timeout=self._request_timeout)
        try:
            return self._seen(await self._call(reading, _NOT_FOUND))
        except LeaseConflict:
            return None

    def _body(self, seen: Record | None, holder: str, duration_seconds: int, *, transitions: int) -> client.V1Lease:
        """Return the object as it was seen last, with our words in it: what others wrote there stays."""
        meta, spec = self._object.metadata, self._object.spec or client.V1LeaseSpec()
        now = micro_time(self._clock.now())
        acquired = spec.acquire_time if seen is not None and seen.holder == holder else None
        shown = {**(meta.annotations or {}), **self._annotations(), HAND_OVER_TO: None}
        return client.V1Lease(
            metadata=meta.model_copy(
                update={
                    "resource_version": seen.version if seen else None,
                    "uid": seen.uid if seen else None,
                    "managed_fields": None,
                    "annotations": {key: value for key, value in shown.items() if value is not None},
                }
            ),
            spec=spec.model_copy(
                update={
                    "holder_identity": holder,
                    "lease_duration_seconds": duration_seconds,
                    "acquire_time": micro_time(acquired or now),
                    "renew_time": now,
                    "lease_transitions": transitions,
                }
            ),
        )

    def _seen(self, lease: Any) -> Record:
        self._object = lease
        meta, spec = lease.metadata, lease.spec or client.V1LeaseSpec()
        return Record(
            uid=meta.uid,
            holder=spec.holder_identity or "",
            duration_seconds=spec.lease_duration_seconds or 1,
            renewed="" if spec.renew_time is None else str(spec.renew_time),
            transitions=spec.lease_transitions or 0,
            version=meta.resource_version,
            hand_over_to=(meta.annotations or {}).get(HAND_OVER_TO, ""),
        )

    async def _call(self, call: Awaitable[T], *conflicts: int) -> T:
        """Make a call. Statuses of `conflicts` raise LeaseConflict, all else that is not a success LeaseUnavailable."""
        try:
            return await call
        except ApiException as error:
            if error.status in conflicts:
                raise LeaseConflict(words(error)) from error
            raise LeaseUnavailable(words(error)) from error
        except UNREACHABLE as error:
            raise LeaseUnavailable(str(error) or type(error).__name__) from error


def words(error: ApiException) -> str:
    """Say what the API server answered."""
    return f"the API server answered {error.status} {error.reason}"
