"""As much of a Kubernetes API server as leases need, which can be made to do on order what a real one does seldom."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web

MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"

Object = dict[str, Any]


@dataclass(slots=True)
class ApiServer:
    """The objects by name, and what goes wrong.

    status: answered to every call instead of an answer. hanging: nothing is answered. deaf: writes are done, their
    answers lost. forgetful: each watch begins with 410, as an event or, with `forgetful_at_once`, as a status.
    silent: watches bring nothing. calls: METHOD of each call, `WATCH` for a watch.
    """

    leases: dict[str, Object] = field(default_factory=dict)
    events: list[Object] = field(default_factory=list)
    status: int | None = None
    hanging: bool = False
    deaf: bool = False
    forgetful: bool = False
    forgetful_at_once: bool = False
    silent: bool = False
    calls: list[str] = field(default_factory=list)
    version: int = 100
    history: list[tuple[int, str, Object]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    watches: set[asyncio.Task[Any] | None] = field(default_factory=set)
    closing: bool = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        watching = request.query.get("watch", "").lower() == "true"
        self.calls.append("WATCH" if watching else request.method)
        while self.hanging and not self.closing:
            await self._next_change()
        if self.status is not None:
            return _status(self.status, "as ordered")
        if watching:
            return await self._watch(request)
        body = await request.json() if request.can_read_body else {}
        if request.path == EVENTS:
            return self._event(body)
        answer = self._lease(request, body)
        if self.deaf and request.method in ("PUT", "POST"):
            request.transport.close()  # type: ignore[union-attr]
        return answer

    def write(self, name: str, **spec: Any) -> None:
        """Overwrite a lease's fields behind everybody's back."""
        self._store("MODIFIED", name, {**self.leases[name], "spec": {**self.leases[name]["spec"], **spec}})

    def annotate(self, name: str, key: str, value: str) -> None:
        """Write an annotation, as a person does."""
        old = self.leases[name]
        noted = {**old["metadata"].get("annotations", {}), key: value}
        self._store("MODIFIED", name, {**old, "metadata": {**old["metadata"], "annotations": noted}})

    def delete(self, name: str) -> None:
        """Delete a lease."""
        gone = self.leases.pop(name)
        self._tell("DELETED", gone)

    def drop_watches(self) -> None:
        """Cut every watch off."""
        for task in self.watches:
            if task is not None:
                task.cancel()

    def resume(self) -> None:
        """Answer again."""
        self.hanging, self.status = False, None
        self._wake()

    def _lease(self, request: web.Request, body: Object) -> web.Response:
        name = request.match_info.get("name") or body.get("metadata", {}).get("name", "")
        there = self.leases.get(name)
        if request.method == "POST":
            if there is not None:
                return _status(409, "AlreadyExists")
            body["metadata"] |= {"uid": str(uuid4()), "creationTimestamp": "2027-01-11T05:00:00Z"}
        elif there is None:
            return _status(404, "NotFound")
        if request.method == "GET":
            return web.json_response(there)
        if request.method == "DELETE":
            self.delete(name)
            return _status(200, "Success")
        times = [body["spec"].get(key) for key in ("acquireTime", "renewTime")]
        if not all(MICRO_TIME.fullmatch(time) for time in times if time is not None):
            return _status(400, f"parsing time {times}: no MicroTime")
        if there is not None:
            for key in ("uid", "resourceVersion"):
                if body["metadata"].get(key, there["metadata"][key]) != there["metadata"][key]:
                    return _status(409, "Conflict")
        return web.json_response(self._store("MODIFIED" if there else "ADDED", name, body))

    def _event(self, body: Object) -> web.Response:
        if not MICRO_TIME.fullmatch(body.get("eventTime", "")):
            return _status(400, "eventTime: no MicroTime")
        self.events.append(body)
        return web.json_response(body, status=201)

    def _store(self, kind: str, name: str, lease: Object) -> Object:
        self.version += 1
        lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version)}}
        self.leases[name] = lease
        self._tell(kind, lease)
        return lease

    def _tell(self, kind: str, lease: Object) -> None:
        if kind == "DELETED":
            self.version += 1
        self.history.append((self.version, kind, lease))
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def _next_change(self) -> None:
        await self.changed.wait()

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        if self.forgetful_at_once:
            return _status(410, "Expired")
        stream = web.StreamResponse()
        await stream.prepare(request)
        if self.forgetful:
            await stream.write(_line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "old"}))
            return stream
        name = request.query["fieldSelector"].removeprefix("metadata.name=")
        told = int(request.query["resourceVersion"])
        task = asyncio.current_task()
        self.watches.add(task)
        try:
            while not self.closing:
                for version, kind, lease in [one for one in self.history if one[0] > told]:
                    told = version
                    if lease["metadata"]["name"] == name and not self.silent:
                        with suppress(ConnectionError):
                            await stream.write(_line(kind, lease))
                await self._next_change()
        finally:
            self.watches.discard(task)
        return stream


def _line(kind: str, what: Object) -> bytes:
    return json.dumps({"type": kind, "object": what}).encode() + b"\n"


def _status(code: int, reason: str) -> web.Response:
    return web.json_response(
        {"kind": "Status", "code": code, "reason": reason, "message": reason}, status=code, reason=reason
    )


KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: test
clusters: [{{name: test, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
users: [{{name: test, user: {{}}}}]
"""


@asynccontextmanager
async def an_api_server(kubeconfig: Path) -> AsyncIterator[ApiServer]:
    """Serve on a free port of this machine, and write the file that leads there."""
    server = ApiServer()
    app = web.Application()
    for path in (LEASES, LEASES + "/{name}", EVENTS):
        app.router.add_route("*", path, server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    leads_there = KUBECONFIG.format(port=runner.addresses[0][1])
    await asyncio.to_thread(kubeconfig.write_text, leads_there, encoding="utf-8")
    try:
        yield server
    finally:
        server.closing = True
        server._wake()
        await runner.cleanup()
