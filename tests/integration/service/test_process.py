"""`python -m service` as a process: it says what is wrong, serves, and ends in order on SIGTERM."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from ratchet.persistence import migrate
from tests.integration.service.balancer import balancing
from tests.integration.service.running import API_TOKEN, WEBHOOK_TOKEN, fresh
from tests.servers.waiting import eventually, eventually_true


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return what a pod needs to know, with a broker that nobody answers for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    return kept | {
        "RATCHET_HOME": str(home),
        "RATCHET_DATABASE_URL": f"sqlite:///{home / 'ratchet.db'}",
        "RATCHET_OPENALGO_URL": "http://127.0.0.1:9",
        "RATCHET_OPENALGO_API_KEY": "key-of-the-tests-0001",
        "RATCHET_BROKER__KIND": "simulator",
        "RATCHET_WEBHOOK_TOKEN": WEBHOOK_TOKEN,
        "RATCHET_API_TOKEN": API_TOKEN,
        "RATCHET_HTTP_PORT": "0",
        "RATCHET_LOG_FORMAT": "json",
        "RATCHET_DRAIN__DELAY_SECONDS": "0.2",
        **more,
    }


class Process:
    """A pod as a process; its log lines go to a file."""

    def __init__(self, home: Path, **more: str) -> None:
        home.mkdir(exist_ok=True)
        migrate.up(f"sqlite:///{home / 'ratchet.db'}")
        self._log = home / "log"
        with self._log.open("wb") as target:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service"], env=environment(home, **more), stderr=target
            )
        eventually_true(lambda: self.event("listening") or self._process.poll() is not None, within=30)
        self.port = int(str(self.event("listening")["port"]))

    def event(self, name: str) -> dict[str, object]:
        """Return the first log line with this event, or nothing."""
        for line in self._log.read_text().splitlines():
            if line.startswith("{") and (found := json.loads(line)).get("event") == name:
                return dict(found)
        return {}

    def status(self, path: str, body: object = None) -> int:
        """Ask the pod and return the status."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data=data, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def wait_until_ready(self) -> None:
        """Return when it takes signals."""
        eventually_true(lambda: self.status("/readyz") == 200, within=20)

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    def end(self, within: float = 20) -> int:
        """Return its exit code when it has ended."""
        return self._process.wait(within)

    def log(self) -> str:
        """Return all that it wrote."""
        return self._log.read_text()

    def destroy(self) -> None:
        """Leave nothing running."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    made.destroy()


def test_a_pod_serves_and_ends_with_0_on_sigterm(process: Process) -> None:
    process.wait_until_ready()
    assert process.status(f"/webhook/{WEBHOOK_TOKEN}", fresh()) == 202
    process.signal(signal.SIGTERM)
    assert process.end() == 0
    assert process.event("draining")
    assert process.event("ended")
    assert WEBHOOK_TOKEN not in process.log()
    assert "Traceback" not in process.log()


def test_a_missing_setting_is_named_and_the_exit_code_is_2(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    del settings["RATCHET_API_TOKEN"]
    ended = subprocess.run(
        [sys.executable, "-m", "service"], env=settings, capture_output=True, timeout=30, check=False
    )
    assert ended.returncode == 2
    assert b"RATCHET_API_TOKEN" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_help_says_how_it_is_set_and_ended() -> None:
    ended = subprocess.run([sys.executable, "-m", "service", "--help"], capture_output=True, timeout=30, check=True)
    assert b"RATCHET_" in ended.stdout
    assert b"SIGTERM" in ended.stdout


def test_sigterm_during_the_imports_ends_with_0(tmp_path: Path) -> None:
    starting = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "service"], env=environment(tmp_path), stderr=subprocess.PIPE
    )
    assert starting.stderr is not None
    for line in starting.stderr:
        if line.rstrip().endswith(b" asyncio.events"):  # the first heavy import has begun, the handler is there
            break
    starting.send_signal(signal.SIGTERM)
    starting.stderr.read()
    starting.stderr.close()
    assert starting.wait(20) == 0


async def send_on(port: int, client: int, *, kept: bool, over: asyncio.Event) -> list[int | str]:
    """Send signals until `over`, on one kept connection or a new one each time; return what came back."""
    answers: list[int | str] = []
    connector = aiohttp.TCPConnector(force_close=not kept)
    async with aiohttp.ClientSession(connector=connector) as session:
        while not over.is_set():
            number = len(answers)
            message = fresh(type="MARKET_DATA", note=f"{client} {number}")
            try:
                async with session.post(
                    f"http://127.0.0.1:{port}/webhook/{WEBHOOK_TOKEN}", data=json.dumps(message)
                ) as told:
                    await told.read()
                    answers.append(told.status)
            except aiohttp.ClientError as error:
                answers.append(repr(error))
    return answers


async def test_behind_a_balancer_that_lags_no_request_fails_while_one_of_two_processes_ends(tmp_path: Path) -> None:
    settings = {"RATCHET_DRAIN__DELAY_SECONDS": "1.5", "RATCHET_HTTP__RATE_LIMIT_PER_SECOND": "0"}
    with ExitStack() as stack:
        first, second = (Process(tmp_path / name, **settings) for name in ("first", "second"))
        for process in (first, second):
            stack.callback(process.destroy)
            await asyncio.to_thread(process.wait_until_ready)
        over = asyncio.Event()
        async with balancing(first.port, second.port) as balancer, asyncio.TaskGroup() as tasks:
            clients = [tasks.create_task(send_on(balancer.port, n, kept=n % 2 == 0, over=over)) for n in range(6)]
            await eventually(lambda: balancer.accepted > 20)
            first.signal(signal.SIGTERM)
            await eventually(lambda: bool(first.event("draining")))
            seen = balancer.accepted
            await eventually(lambda: balancer.accepted > seen + 20)  # the lag: new connections still arrive there
            balancer.backends.remove(first.port)
            assert await asyncio.to_thread(first.end) == 0
            seen = balancer.accepted
            await eventually(lambda: balancer.accepted > seen + 20)
            over.set()
        answers = [answer for client in clients for answer in client.result()]
        assert len(answers) > 60
        assert set(answers) <= {200, 202}
