# ruff: noqa: TID251, T201, D103
"""What `helm test` asks of a release: pods serve, strangers are refused, one leads, and a signal is executed once.

With a real broker (TRADE=false) nothing is sent that could trade.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

SERVICE = os.environ["SERVICE"]
LEADERS = os.environ["LEADERS"]
TRADE = os.environ["TRADE"] == "true"
SECRETS = Path(os.environ.get("SECRETS", "/run/secrets/ratchet"))
LIMIT_SECONDS = float(os.environ.get("LIMIT_SECONDS", "120"))
ENDS = ("executed", "partially_executed", "blocked", "rejected", "expired")
KOLKATA = timezone(timedelta(hours=5, minutes=30))


def call(url: str, body: dict[str, Any] | None = None, token: str | None = None) -> tuple[int, str]:
    """Return status and text of an answer; 0 if there was none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def until(what: str, ask: Callable[[], tuple[bool, str]]) -> str:
    """Ask until the answer is true; end the test if it never is."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        good, seen = ask()
        if good:
            print(f"ok    {what}: {seen}", flush=True)
            return seen
        if time.monotonic() > deadline:
            print(f"FAIL  {what}: {seen}", flush=True)
            sys.exit(1)
        time.sleep(1)


def status_is(wanted: Collection[int], *request: Any) -> tuple[bool, str]:
    status, text = call(*request)
    return status in wanted, f"{status} {' '.join(text.split())[:120]}"


def one_leads() -> tuple[bool, str]:
    """Count those who say that they lead, over every leader's address."""
    host, port = LEADERS.rsplit(":", 1)
    try:
        addresses = sorted(
            {str(entry[4][0]) for entry in socket.getaddrinfo(host, int(port), proto=socket.IPPROTO_TCP)}
        )
    except OSError as error:
        return False, str(error)
    leading = 0
    for address in addresses:
        where = f"[{address}]" if ":" in address else address
        lines = call(f"http://{where}:{port}/metrics")[1].splitlines()
        leading += sum(float(line.split()[1]) == 1 for line in lines if line.startswith("ratchet_leader "))
    return leading == 1, f"{leading} of {len(addresses)}"


def round_trip() -> None:
    """Send an entry twice: it is one signal, and it comes to one end, whatever the gates say of it."""
    webhook = f"{SERVICE}/webhook/{(SECRETS / 'webhook-token').read_text().strip()}"
    api_token = (SECRETS / "api-token").read_text().strip()
    signal: dict[str, Any] = {
        "type": "BASE_ENTRY",
        "instrument": "COPPER",
        "position": "Long_1",
        "price": 917.85,
        "stop": 905.0,
    }
    signal |= {"lots": 1, "atr": 3.15, "er": 0.83, "supertrend": 905.5, "roc": 2.1}
    signal["timestamp"] = datetime.now(KOLKATA).strftime("%Y-%m-%dT%H:%M:%S")
    until("the signal is accepted", lambda: status_is({200, 202}, webhook, signal))
    answer = json.loads(until("its repeat is known", lambda: repeated(webhook, signal)))

    def ended() -> tuple[bool, str]:
        text = call(f"{SERVICE}/signals/{answer['id']}", None, api_token)[1]
        try:
            found = json.loads(text)
        except ValueError:
            return False, text[:120]
        found = found.get("signal", found)
        status = found.get("status")
        return status in ENDS, f"{status} {found.get('reason')}"

    until("it came to an end", ended)


def repeated(webhook: str, signal: dict[str, Any]) -> tuple[bool, str]:
    status, text = call(webhook, signal)
    return status == 200 and json.loads(text).get("duplicate") is not None, text.strip()


until("a pod is ready", lambda: status_is({200}, f"{SERVICE}/readyz"))
until("metrics are served", lambda: status_is({200}, f"{SERVICE}/metrics"))
until("a stranger is refused", lambda: status_is({401, 404}, f"{SERVICE}/webhook/not-the-token-at-all", {}))
until("exactly one leads", one_leads)
if TRADE:
    round_trip()
