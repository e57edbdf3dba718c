"""What a pod weighs: how soon it is ready, and its memory after many signals; and whether a full table slows it."""

from __future__ import annotations

import http.client
import time
from datetime import timedelta

import psycopg

from bench.accepting import CLIENTS
from bench.client import drive
from bench.messages import Stream
from bench.place import Place, analyze
from bench.report import Section

READY_SECONDS = 2.0
MEMORY_BYTES = 120 * 2**20
SLOWER = 1.2
_PATIENCE_SECONDS = 30.0
_FILL = """
INSERT INTO signal_log (account, fingerprint, signal_ts, id, seq, strategy, instrument, kind, layer, source, payload,
    payload_hash, status, reason, received_at, lease_until, processed_at, terminal_at)
SELECT 'load-' || lpad((n %% 200 + 1)::text, 2, '0'), md5(n::text) || md5((-n)::text), at, gen_random_uuid(),
    nextval('signal_seq'), 'trend', 'GOLD_MINI', 'PYRAMID', 'Long_6', 'webhook', '{"lots": 2, "price": "134870"}',
    md5(n::text) || md5(n::text), 'executed', 'filled', at, at, at, at
FROM (SELECT n, now() - interval '1 minute' - n * %(apart)s * interval '1 second' AS at
    FROM generate_series(%(first)s, %(last)s) AS n) AS made
"""
_PART = 500_000
_REACH = timedelta(days=25)
"""The rows lie as far back as the new signals, so in the same partitions; none makes a new signal a duplicate."""


def measure_start(place: Place, *, signals: int) -> list[Section]:
    """Return how soon a pod is ready, and what it holds after so many signals."""
    section = Section("Footprint", f"One pod of its own; its memory before and after {signals} accepted signals.")
    with (
        place.broker() as broker,
        place.database(broker) as database,
        place.pod(place.environment(database, broker), "--accept-only") as pod,
    ):
        _until_ready(pod.port)
        ready = time.monotonic() - pod.started_at
        before, stream = pod.resident_bytes, Stream()
        for _ in range(signals // 10_000 or 1):
            drive(pod.port, stream.entries(min(signals, 10_000)), CLIENTS)
        after = pod.resident_bytes
    section.add("ready after its start", f"{ready:.2f} s", f"at most {READY_SECONDS:.0f} s", ready <= READY_SECONDS)
    section.add("resident memory, before", f"{before / 2**20:.0f} MB")
    section.add(
        "resident memory, after",
        f"{after / 2**20:.0f} MB",
        f"at most {MEMORY_BYTES // 2**20} MB",
        after <= MEMORY_BYTES,
    )
    return [section]


def _until_ready(port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.01)
    raise RuntimeError("the pod does not get ready")


def measure_rows(place: Place, *, few: int, many: int, rounds: int, count: int) -> list[Section]:
    """Return how much slower an accept is with many rows in signal_log."""
    section = Section(
        "Accept with a full table",
        f"Medians of the latency with {few} and with {many} ended signals of the last 25 days; rounds of two pods "
        "alternate.",
    )
    with place.broker() as broker, place.database(broker) as small, place.database(broker) as large:
        _fill(small, few)
        _fill(large, many)
        stream = Stream()
        found: dict[str, list[float]] = {small: [], large: []}
        with (
            place.pod(place.environment(small, broker), "--accept-only") as one,
            place.pod(place.environment(large, broker), "--accept-only") as other,
        ):
            pods = {small: one, large: other}
            for n in range(rounds + 1):
                requests = stream.entries(count)
                for database, pod in pods.items():
                    load = drive(pod.port, requests, CLIENTS)
                    if load.statuses[202] != count:
                        raise RuntimeError(f"unexpected answers: {load.statuses}")
                    if n:  # the first round warms up
                        found[database] += load.latencies
    medians = {database: sorted(all_of)[len(all_of) // 2] for database, all_of in found.items()}
    ratio = medians[large] / medians[small]
    section.add("p50, times that with few rows", f"{ratio:.2f}", f"at most {SLOWER}", ratio <= SLOWER)
    section.add("p50", f"{medians[small] * 1e3:.2f} ms with few, {medians[large] * 1e3:.2f} ms with many")
    return [section]


def _fill(database: str, rows: int) -> None:
    """Write rows of earlier signals, which have ended."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for first in range(1, rows + 1, _PART):
            last = min(rows, first + _PART - 1)
            connection.execute(_FILL, {"first": first, "last": last, "apart": _REACH.total_seconds() / rows})
    analyze(database)
