"""Starts processes in a tenth of the time: one process has imported everything, and forks each new one from itself.

What is forked is a process like any other: a session, an environment and a log of its own, ended by any signal. Run as
`python -m tests.soak.nursery`, it reads requests as lines of JSON and answers each with one.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.harness.process import ROOT, Process, ProcessFailed

_LOADED = (
    "service.command",
    "service.arguments",
    "leader.command",
    "leader.kubernetes_place",
    "ratchet.cli.main",
    "ratchet.cli.simulator",
)

_ended: dict[int, int] = {}
"""Exit codes by process id."""


class Child:
    """A forked process, with the part of subprocess.Popen that the harness uses."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return its exit code (negative: the signal), None while it runs."""
        if self._code is None:
            self._code = self._nursery.ask({"poll": self.pid})["code"]
        return self._code

    def send_signal(self, what: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, what)

    def wait(self, timeout: float) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return code


class Nursery:
    """The forking process, for the time of the block. Its children end with the watchdog that guards them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Start it, and wait until it has imported all. Raises ProcessFailed if it cannot; why stands on stderr."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.nursery"],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait(timeout=10)

    def spawn(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Child:
        """Fork `python ARGUMENTS` (of the form -m module ...)."""
        request = {"spawn": list(arguments), "environment": dict(environment), "log": str(log)}
        return Child(self, self.ask(request)["pid"])

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Put one request. Raises ProcessFailed if the nursery has died."""
        assert self._process.stdin is not None
        with self._lock, suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            return self._answer()
        raise ProcessFailed("the nursery has ended")

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ProcessFailed("the nursery has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Forked(Process):
    """A process that is forked in place of being started anew."""

    nursery: Nursery

    def spawn(self) -> None:
        """Start a new life without waiting for it. Raises ProcessFailed if the last one still goes on."""
        if self.running:
            raise ProcessFailed(f"{self.name} runs already")
        self.port = None
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.touch()
        self._life_began = self.log.stat().st_size
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.log.parent),
            **self.environment,
        }
        self._process = self.nursery.spawn(self.arguments, environment, self.log)  # type: ignore[assignment]
        self._watchdog.guard(self.pid)


def _serve() -> None:
    for module in _LOADED:
        importlib.import_module(module)
    _say({"ready": True})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _say({"code": _poll(request["poll"])} if "poll" in request else {"pid": _fork(request)})


def _say(answer: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _poll(pid: int) -> int | None:
    """Return the exit code, None before there is one; asked twice at once, the same code is told twice."""
    if pid not in _ended:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _ended[pid] = os.waitstatus_to_exitcode(status)
    return _ended.get(pid)


def _fork(request: Mapping[str, Any]) -> int:
    pid = os.fork()
    _ended.pop(pid, None)
    if pid == 0:
        code = 1
        try:
            code = _live(request)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return pid


def _live(request: Mapping[str, Any]) -> int:
    """Be the process that was asked for."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(request["environment"])
    _, module, *arguments = request["spawn"]
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    _serve()
