"""One real process: started with its own environment and log, then stopped, killed, paused and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.harness.watchdog import Watchdog
from tests.servers.waiting import eventually

ROOT = Path(__file__).parents[2]
START_SECONDS = 20.0
STOP_SECONDS = 15.0


class ProcessFailed(RuntimeError):
    """A process ended, or was not ready, when it had to be; the end of its log follows."""


class Process:
    """A process that serves HTTP on a port that it chooses itself and says in its log (event `listening`).

    arguments: behind the interpreter. environment: all it gets, besides PATH and HOME. log: gets what it prints, of
    all its lives.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], *, log: Path, watchdog: Watchdog
    ) -> None:
        self.name = name
        self.arguments = tuple(arguments)
        self.environment = dict(environment)
        self.log = log
        self.port: int | None = None
        """Where it listens; None before it has said so. Another one in each life, unless the environment names it."""
        self._watchdog = watchdog
        self._process: subprocess.Popen[bytes] | None = None
        self._life_began = 0

    @property
    def url(self) -> str:
        """Its address. Raises ProcessFailed before it listens."""
        if self.port is None:
            raise ProcessFailed(f"{self.name} does not listen yet:\n{self.tail()}")
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id. Raises ProcessFailed before it was started."""
        if self._process is None:
            raise ProcessFailed(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """It was started and has not ended; a paused process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int | None:
        """What it ended with (negative: the signal that ended it), None while it runs."""
        return None if self._process is None else self._process.poll()

    def spawn(self) -> None:
        """Start a new life without waiting for it. Raises ProcessFailed if the last one still goes on."""
        if self.running:
            raise ProcessFailed(f"{self.name} runs already")
        self.port = None
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._life_began = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, *self.arguments],
                cwd=ROOT,
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.log.parent), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watchdog.guard(self._process.pid)

    async def listening(self, *, within: float = START_SECONDS) -> int:
        """Wait until it listens and return its port. Raises ProcessFailed."""
        await self._until(self._read_port, within, "did not listen")
        assert self.port is not None
        return self.port

    async def ready(self, *, within: float = START_SECONDS) -> None:
        """Wait until it listens and /readyz says yes. Raises ProcessFailed."""
        await self.listening(within=within)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session:

            async def says_so() -> bool:
                try:
                    async with session.get(f"{self.url}/readyz") as answer:
                        return answer.status == 200
                except (aiohttp.ClientError, TimeoutError):
                    return False

            await self._until(says_so, within, "was not ready")

    def send(self, what: signal.Signals) -> None:
        """Send a signal; nothing happens if the process has ended."""
        if self.running and self._process is not None:
            self._process.send_signal(what)

    def kill(self) -> None:
        """End it by SIGKILL, and wait until it is gone."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(timeout=10)

    def pause(self) -> None:
        """Stop its clock, as a stalled machine would: connections stay open, nothing happens."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self.send(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask for an orderly end."""
        self.send(signal.SIGTERM)

    async def gone(self, *, within: float = STOP_SECONDS) -> int:
        """Wait until it has ended and return its exit code (negative: the signal). Raises ProcessFailed."""
        try:
            await eventually(lambda: not self.running, within=within)
        except AssertionError:
            raise ProcessFailed(f"{self.name} did not end within {within} s:\n{self.tail()}") from None
        code = self.code
        assert code is not None
        return code

    async def stop(self, *, within: float = STOP_SECONDS) -> int:
        """End it in order (resumed first, killed if it takes too long) and return its exit code."""
        self.resume()
        self.terminate()
        try:
            return await self.gone(within=within)
        except ProcessFailed:
            self.kill()
            raise

    def events(self) -> list[dict[str, Any]]:
        """Return the log lines of its present or last life, oldest first; lines that are not ours are left out."""
        with self.log.open("rb") as log:
            log.seek(self._life_began)
            lines = log.read().decode(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def tail(self, length: int = 4000) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-length:] if self.log.exists() else "(no log)"

    def _read_port(self) -> bool:
        for line in self.events():
            if line.get("event") == "listening":
                self.port = line.get("port") or urlsplit(line["url"]).port
        return self.port is not None

    async def _until(self, condition: Any, within: float, what: str) -> None:
        async def or_gone() -> bool:
            said = condition()
            return not self.running or bool(said if isinstance(said, bool) else await said)

        try:
            await eventually(or_gone, within=within)
        except AssertionError:
            raise ProcessFailed(f"{self.name} {what} within {within} s:\n{self.tail()}") from None
        if not self.running:
            raise ProcessFailed(f"{self.name} ended with {self.code}:\n{self.tail()}")
