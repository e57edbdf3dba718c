"""A server process with a folder and a port of its own, which can be stopped, killed, frozen and started again."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

import psutil

from tests.servers.waiting import eventually_true

START_SECONDS = 15.0
RESTART_SECONDS = 3.0
"""For this long a start is tried again: after a SIGKILL the port or shared memory may not be free at once."""

# Reads until its standard input ends, which is when we end in whatever way; then it ends the server and its folder.
# The name of the process is compared so that a recycled process id harms nobody.
WATCHDOG = """
cat >/dev/null
pid=$(head -n 1 "$1/pid" 2>/dev/null)
if [ -n "$pid" ] && ps -o comm= -p "$pid" | grep -q "$2"; then
    kill -CONT "$pid"; kill -INT "$pid"; sleep 1; kill -KILL "$pid" 2>/dev/null
fi
rm -rf "$1"
"""


class ServerFailed(RuntimeError):
    """The server did not start; its log follows."""


def free_port() -> int:
    """Return a TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def unprivileged_user() -> str | None:
    """Return an existing user to drop to when we are root, else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            if pwd.getpwnam(name).pw_uid > 0:
                return name
        except KeyError:
            continue
    raise ServerFailed("running as root and found no user to drop to: add a user named postgres")


class Server(ABC):
    """What PostgreSQL and Valkey have in common here."""

    process_name: str

    def __init__(self) -> None:
        self.user = unprivileged_user()
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="ratchet-server-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line of the server."""

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether the server answers a request."""

    @abstractmethod
    def prepare(self) -> None:
        """Make what the server needs before its first start."""

    def __enter__(self) -> Self:
        try:
            if self.user is not None:
                shutil.chown(self.folder, self.user)
            self._watchdog = subprocess.Popen(
                ["/bin/sh", "-c", WATCHDOG, "watchdog", str(self.folder), self.process_name],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self.prepare()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def log(self) -> str:
        """What the server printed."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def running(self) -> bool:
        """The process exists."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and return when it answers. Raises ServerFailed."""
        began = time.monotonic()
        while True:
            self._process = self.spawn(self.command())
            (self.folder / "pid").write_text(f"{self._process.pid}\n")
            try:
                eventually_true(lambda: not self.running or self.answers(), within=START_SECONDS)
            except AssertionError:
                self.kill()
            if self.running:
                return
            if time.monotonic() - began > RESTART_SECONDS:
                raise ServerFailed(f"{self.process_name} did not start:\n{self.log[-4000:]}")

    def stop(self) -> None:
        """Stop in an orderly and quick way."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the process and its children by SIGKILL, as when the machine stops."""
        if self._process is None:
            return
        family = self._family()
        for member in family:
            _send(member, signal.SIGKILL)
        self._process.wait(timeout=10)
        psutil.wait_procs(family, timeout=10)

    def restart(self) -> None:
        """Stop and start on the same port, with the same data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the clock of the process and its children: connections stay open, nothing answers."""
        for _ in range(2):  # what was being forked while the first round went on is stopped by the second
            for member in self._family():
                _send(member, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for member in self._family():
            _send(member, signal.SIGCONT)

    def close(self) -> None:
        """Stop for good and remove the folder."""
        if self.running:
            self.thaw()
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
            self._watchdog.wait(timeout=10)

    def spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a command as the unprivileged user, in the folder, its output going to the log."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.user,
                group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
            )

    def _family(self) -> list[psutil.Process]:
        try:
            leader = psutil.Process(self._process.pid) if self._process else None
            return [leader, *leader.children(recursive=True)] if leader else []
        except psutil.NoSuchProcess:
            return []

    def _end(self, how: signal.Signals) -> None:
        if self._process is None or not self.running:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()


def _send(member: psutil.Process, what: signal.Signals) -> None:
    try:
        member.send_signal(what)
    except psutil.NoSuchProcess:
        return
