"""Watches the Lease and what is told about it, and keeps what was seen when, by this machine's clock alone."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any

from ratchet.clock import Clock
from ratchet.kubectl.kubectl import Kubectl
from ratchet.kubectl.release import Lease, Release

AGAIN_SECONDS = 0.3
"""Between two watches: the API server may be away."""

LOOK_SECONDS = 0.02
FIRST_SECONDS = 5.0
"""A watch begins with what is there."""

LOOK_AGAIN_SECONDS = 2
_ELECTED = re.compile(r"under epoch (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that was seen. at: seconds of the monotonic clock. holder: of the lease since then, if it changed."""

    at: float
    what: str
    holder: str | None = None
    epoch: int | None = None


class Chronicle:
    """What was seen, in order. Written to by watching threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: list[Moment] = []
        self._lock = threading.Lock()
        self._lease: Lease | None = None

    def note(self, what: str, *, holder: str | None = None, epoch: int | None = None) -> Moment:
        """Keep a moment."""
        moment = Moment(at=self._clock.monotonic(), what=what, holder=holder, epoch=epoch)
        with self._lock:
            self._seen.append(moment)
        return moment

    def since(self, at: float) -> list[Moment]:
        """Return what was seen from an instant on."""
        with self._lock:
            return [moment for moment in self._seen if moment.at >= at]

    def until(self, condition: Callable[[], bool], *, within_seconds: float) -> bool:
        """Wait for a condition over what is seen; return whether it came true in time."""
        give_up = self._clock.monotonic() + within_seconds
        pause = threading.Event()
        while not condition():
            if self._clock.monotonic() > give_up:
                return False
            pause.wait(LOOK_SECONDS)
        return True

    def saw_lease(self, change: str, lease: Lease) -> None:
        """Take note of what differs from the version before."""
        before, self._lease = self._lease, None if change == "DELETED" else lease
        if change == "DELETED":
            self.note("the lease was deleted", holder="")
            return
        if before is None or lease.holder != before.holder:
            who = f"the lease is held by {lease.pod}" if lease.holder else "the lease is free"
            self.note(who, holder=lease.holder)
        if lease.epoch is not None and lease.holder and (before is None or lease.epoch != before.epoch):
            self.note(f"the lease shows epoch {lease.epoch}", epoch=lease.epoch)

    def saw_event(self, event: Mapping[str, Any]) -> None:
        """Take note of what a leader told the cluster."""
        reason, told = str(event.get("reason", "")), str(event.get("message") or event.get("note") or "")
        elected = _ELECTED.search(told) if reason == "LeaderElected" else None
        self.note(f"{reason}: {told}", epoch=int(elected[1]) if elected else None)


@contextmanager
def watching(release: Release, chronicle: Chronicle) -> Iterator[None]:
    """Watch the release's Lease and the events about it for the time of the block.

    Raises CommandFailed if the Lease may not be watched.
    """
    name = str(release.lease_name)
    about = f"involvedObject.kind=Lease,involvedObject.name={name}"
    with ExitStack() as stack:
        leases = _Watch(
            release.kube,
            ("lease", "--field-selector", f"metadata.name={name}"),
            lambda change, found: chronicle.saw_lease(change, Lease(found)),
        )
        events = _Watch(
            release.kube,
            ("events", "--watch-only", "--field-selector", about),
            lambda _, found: chronicle.saw_event(found),
        )
        for watch in (leases, events):
            stack.callback(watch.stop)
            watch.start()
        if not chronicle.until(lambda: bool(chronicle.since(0.0)), within_seconds=FIRST_SECONDS):
            _ask_why(release)
        yield


def _ask_why(release: Release) -> None:
    """Watch once with an ear for complaints, since nothing was seen. Raises CommandFailed."""
    watch = ("get", "lease", "--field-selector", f"metadata.name={release.lease_name}", "--watch", "--output", "name")
    release.kube.text(*watch, f"--request-timeout={LOOK_AGAIN_SECONDS}s", bounded=False)


class _Watch:
    """One `kubectl get --watch`, begun again whenever it ends."""

    def __init__(self, kube: Kubectl, what: tuple[str, ...], saw: Callable[[str, dict[str, Any]], None]) -> None:
        self._words = kube.command("get", *what, "--watch", "--output-watch-events", "-o", "json", bounded=False)
        self._saw = saw
        self._stopped = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch {what[0]}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, at once."""
        self._stopped.set()
        process = self._process
        if process is not None:
            process.kill()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with subprocess.Popen(self._words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
                self._process = process
                if self._stopped.is_set():
                    process.kill()
                if process.stdout is not None:
                    for found in _documents(process.stdout):
                        self._saw(str(found.get("type")), found.get("object", {}))
            self._stopped.wait(AGAIN_SECONDS)


def _documents(stream: IO[str]) -> Iterator[dict[str, Any]]:
    """Yield the documents that kubectl prints one after the other; each ends with a brace at the start of a line."""
    lines: list[str] = []
    for line in stream:
        lines.append(line)
        if line.rstrip() == "}" or (len(lines) == 1 and line.startswith("{") and line.rstrip().endswith("}")):
            found: dict[str, Any] = json.loads("".join(lines))
            lines.clear()
            yield found
