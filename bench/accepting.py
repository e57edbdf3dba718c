"""What a durable accept costs, beside a FastAPI route that stores nothing: new signals, then the same ones again."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.client import Load, drive
from bench.messages import LANES, Stream
from bench.place import Child, Place, analyze, child
from bench.report import Section

CLIENTS = 16
RATIO = 0.80
P99_RATIO = 3.0


@dataclass
class _Side:
    """One of the two that are compared: its loads, and the CPU that they took."""

    loads: list[Load] = field(default_factory=list)
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return median(load.rate for load in self.loads)

    def percentile(self, percent: int) -> float:
        """Return the median of the rounds' percentiles, in seconds."""
        return median(load.percentile(percent) for load in self.loads)

    @property
    def cpu_each(self) -> float:
        """CPU seconds of a request."""
        return self.cpu / sum(len(load.latencies) for load in self.loads)

    def run(self, of: Child, requests: list[bytes], expected: int) -> None:
        """Send one round."""
        before = of.cpu_seconds
        load = drive(of.port, requests, CLIENTS)
        self.cpu += of.cpu_seconds - before
        if load.statuses[expected] != len(requests):
            raise RuntimeError(f"unexpected answers: {load.statuses}")
        self.loads.append(load)


def measure(place: Place, *, rounds: int, count: int, profile: Path | None) -> list[Section]:
    """Return the figures of new signals and of duplicates."""
    noop, new, again = _Side(), _Side(), _Side()
    stream = Stream()
    with place.broker() as broker, place.database(broker) as database, child(["bench.noop"], dict(os.environ)) as idle:
        options = () if profile is None else ("--profile", str(profile))
        with place.pod(place.environment(database, broker), "--accept-only", *options) as pod:
            drive(pod.port, stream.entries(2 * LANES), CLIENTS)
            analyze(database)
            drive(idle.port, stream.entries(LANES), CLIENTS)
            server = place.postgres_cpu_seconds()
            for _ in range(rounds):
                requests = stream.entries(count)
                noop.run(idle, requests, 202)
                new.run(pod, requests, 202)
                server -= place.postgres_cpu_seconds()
                again.run(pod, requests, 200)
                server += place.postgres_cpu_seconds()
            server = place.postgres_cpu_seconds() - server
    section = _section("Durable accept", noop, new)
    section.add("PostgreSQL CPU of an accept", f"{server / (rounds * count) * 1e6:.0f} µs")
    return [section, _section("Duplicates", noop, again)]


def _section(title: str, noop: _Side, ours: _Side) -> Section:
    section = Section(
        title,
        f"{CLIENTS} clients on kept connections; rounds of the no-op (FastAPI, the same message as a pydantic model) "
        "and of one pod alternate. Medians of the rounds.",
    )
    ratio, tail = ours.rate / noop.rate, ours.percentile(99) / noop.percentile(99)
    section.add("rate, as a part of the no-op's", f"{ratio:.2f}", f"at least {RATIO:.2f}", ratio >= RATIO)
    section.add("p99, times the no-op's", f"{tail:.1f}", f"at most {P99_RATIO:.0f}", tail <= P99_RATIO)
    section.add("pod CPU of a request", f"{ours.cpu_each * 1e6:.0f} µs (no-op {noop.cpu_each * 1e6:.0f} µs)")
    section.add("requests a second", f"{ours.rate:.0f} (no-op {noop.rate:.0f})")
    section.add("p50, p99", f"{ours.percentile(50) * 1e3:.1f}, {ours.percentile(99) * 1e3:.1f} ms")
    return section
