"""A steady load of signals on every node's address, which keeps account of each request."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Self
from urllib.parse import urlsplit

from ratchet.cli.courier import ENDED
from ratchet.cli.load import STEPS
from ratchet.cli.samples import MARKETS, Market, Message

TRY_SECONDS = 3.0
"""TradingView gives up on a call after this time."""
PATIENCE_SECONDS = 90.0
PAUSE_SECONDS = 0.3
SENDERS = 8
REPEATED = 5
"""Each fifth signal is sent twice."""

Step = Callable[[Market, datetime], Message]


class Door:
    """The addresses of a service, and its token. Calls from several threads; each keeps its connections if told to."""

    def __init__(self, urls: Sequence[str], token: str) -> None:
        self.urls = tuple(urls)
        self._token = token
        self._local = threading.local()

    def call(self, method: str, path: str, body: bytes | None = None, *, turn: int = 0, keep: bool = True) -> Any:
        """Return status and JSON of an answer. Raises OSError or http.client.HTTPException if there was none."""
        url = self.urls[turn % len(self.urls)]
        kept: dict[str, http.client.HTTPConnection] = self._local.__dict__.setdefault("kept", {})
        where = urlsplit(url)
        connection = kept.pop(url, None) or http.client.HTTPConnection(where.netloc, timeout=TRY_SECONDS)
        try:
            headers = {"authorization": f"Bearer {self._token}"} | ({} if keep else {"connection": "close"})
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except BaseException:
            connection.close()
            raise
        if keep and not answer.will_close:
            kept[url] = connection
        else:
            connection.close()
        return answer.status, json.loads(text)


@dataclass(slots=True)
class Account:
    """What a load came to. sent: messages. failures: requests without a 200 or 202, and when."""

    sent: int = 0
    failures: list[str] = field(default_factory=list)
    ids: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    unanswered: list[str] = field(default_factory=list)

    @property
    def signals(self) -> set[str]:
        """The ids of everything that was accepted."""
        return set().union(*self.ids.values())


class Load:
    """Sends while its block runs. A failed request is counted, and sent again to the next address until it is answered.

    Each lane (an instrument of an account) trades: entry, bar, exits, bar. Half the senders keep their connections.
    """

    def __init__(self, door: Door, *, per_second: float = 8, steps: Sequence[Step] = STEPS, accounts: int = 25) -> None:
        self.account = Account()
        self._door = door
        self._pace = 1 / per_second
        self._steps = steps
        self._lanes = [(f"load-{n:02}", market) for n in range(1, accounts + 1) for market in MARKETS]
        self._numbers = count()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._runs = [self._senders.submit(self._send, number) for number in range(SENDERS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._senders.shutdown()
        for run in self._runs:
            run.result()

    def run(self, seconds: float) -> None:
        """Let it go on for a while."""
        self._over.wait(seconds)

    def _send(self, sender: int) -> None:
        while True:
            with self._lock:
                number = next(self._numbers)
            if self._over.wait(max(0.0, self._began + number * self._pace - time.monotonic())):
                return
            account, market = self._lanes[number % len(self._lanes)]
            step = self._steps[number // len(self._lanes) % len(self._steps)]
            message = step(market, datetime.now(UTC).replace(microsecond=0))
            for repeat in range(2 if number % REPEATED == 0 else 1):
                self._deliver(account, message, turn=number + repeat, keep=sender % 2 == 0)

    def _deliver(self, account: str, message: Message, *, turn: int, keep: bool) -> None:
        body = json.dumps(message.body).encode()
        give_up = time.monotonic() + PATIENCE_SECONDS
        what = f"{message.kind} {message.instrument} of {account}"
        with self._lock:
            self.account.sent += 1
        for tries in count():
            try:
                status, answer = self._door.call(
                    "POST", f"/signals?account={account}", body, turn=turn + tries, keep=keep
                )
                problem = f"{status} {answer}"
            except (OSError, http.client.HTTPException, ValueError) as error:
                status, problem = 0, repr(error)
            if status in (200, 202):
                with self._lock:
                    self.account.ids[account, message.fingerprint].add(answer["id"])
                return
            with self._lock:
                url = self._door.urls[(turn + tries) % len(self._door.urls)]
                self.account.failures.append(f"{datetime.now(UTC):%T.%f} {url} {what}: {problem}")
            if time.monotonic() > give_up:
                break
            threading.Event().wait(PAUSE_SECONDS)
        with self._lock:
            self.account.unanswered.append(what)


def unfinished(door: Door, signals: Sequence[str]) -> list[str]:
    """Return which signals are not known, or have not ended: `id status`."""

    def look(number: int) -> str | None:
        try:
            status, signal = door.call("GET", f"/signals/{signals[number]}", turn=number)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"{signals[number]} {error!r}"
        if status == 200 and signal["status"] in ENDED:
            return None
        return f"{signals[number]} {signal['status'] if status == 200 else status}"

    with ThreadPoolExecutor(SENDERS) as lookers:
        return [found for found in lookers.map(look, range(len(signals))) if found]
