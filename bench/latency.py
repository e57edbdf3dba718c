"""How long an order takes from the webhook to its first byte, one signal at a time, beside a bare script."""

from __future__ import annotations

import http.client
import json
import os
import time
from datetime import UTC, datetime
from statistics import median

from bench.client import drive
from bench.executing import OVERHEAD_SECONDS, covered, ended_overheads, spans_of
from bench.messages import PHASES, phase
from bench.place import Child, Place, analyze, child
from bench.report import Section

TIMES = 1.5
_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.1
"""Between two signals: until the first one has ended."""


def measure(place: Place, *, rounds: int, each: int) -> list[Section]:
    """Return how much longer the way to the order is than the bare script's."""
    section = Section(
        "Webhook to the first byte of placeorder",
        "One signal at a time, less the time in earlier calls of the broker; rounds of a bare script with the same "
        "commits (accept with NOTIFY, claim, T2, T3) and of one pod alternate. Medians.",
    )
    calls = place.folder / "calls-latency"
    with place.broker() as broker, place.database(broker) as database:
        analyze(database)
        signals = iter(phase(PHASES["BASE_ENTRY"], datetime.now(UTC)))
        with (
            child(["bench.bare", database, str(broker.port)], dict(os.environ)) as bare,
            place.pod(place.environment(database, broker), "--calls", str(calls)) as pod,
        ):
            _way(pod, broker, [next(signals) for _ in range(each)])
            plain: list[float] = []
            ours: list[tuple[float, float]] = []
            for _ in range(rounds):
                requests = [next(signals) for _ in range(each)]
                plain += [placed - sent for sent, placed in _way(bare, broker, requests)]
                ours += _way(pod, broker, requests)
        told = calls.read_text().splitlines()
        overhead = median(ended_overheads(database, "BASE_ENTRY", spans_of(told)))
    lines = [line.split() for line in told]
    spans = [(float(begin), float(end)) for _, call, begin, end in lines if call != "placeorder"]
    own = [
        placed - sent - covered((begin, end) for begin, end in spans if begin >= sent and end <= placed)
        for sent, placed in ours
    ]
    ratio = median(own) / median(plain)
    section.add("times the bare script's", f"{ratio:.1f}", f"at most {TIMES}", ratio <= TIMES)
    section.add("p50", f"{median(own) * 1e3:.1f} ms (bare script {median(plain) * 1e3:.1f} ms)")
    section.add("p50 with all calls", f"{median(placed - sent for sent, placed in ours) * 1e3:.1f} ms")
    section.add(
        "claim to recorded outcome: p50 of our own overhead",
        f"{overhead * 1e3:.1f} ms",
        f"at most {OVERHEAD_SECONDS * 1e3:.0f} ms",
        overhead <= OVERHEAD_SECONDS,
    )
    return [section]


def _way(of: Child, broker: Child, requests: list[bytes]) -> list[tuple[float, float]]:
    """Send one after another; return when each left and when its order came, in monotonic seconds."""
    found = []
    _placed(broker)
    for request in requests:
        load = drive(of.port, [request], connections=1)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (placed := _placed(broker)):
            if time.monotonic() > deadline:
                raise RuntimeError("no order came")
            time.sleep(0.005)
        found.append((load.sent_at[0] / 1e9, placed[0] / 1e9))
        time.sleep(_PAUSE_SECONDS)
        _placed(broker)
    return found


def _placed(broker: Child) -> list[int]:
    """Return when orders came since the last look."""
    connection = http.client.HTTPConnection("127.0.0.1", broker.port, timeout=5)
    try:
        connection.request("GET", "/calls")
        placed: list[int] = json.loads(connection.getresponse().read())
        return placed
    finally:
        connection.close()
