"""What executing costs: from the claim to the recorded outcome, and from the webhook to the first byte of the order."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from bench.client import drive
from bench.messages import LANES, PHASES, phase
from bench.place import Child, Place, analyze
from bench.report import Section

RATE = 500.0
OVERHEAD_SECONDS = 0.010
_PATIENCE_SECONDS = 300.0
_OPEN = "SELECT count(*) FROM signal_log WHERE status IN ('accepted', 'processing')"
_ENDED = (
    "SELECT id, status, reason, processed_at, terminal_at FROM signal_log WHERE kind = %s AND terminal_at IS NOT NULL"
)

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Phase:
    """One signal for each lane, executed. own: seconds of each signal outside of the broker's calls."""

    kind: str
    seconds: float
    cpu: float
    server_cpu: float
    ends: Counter[str]
    own: list[float]
    calls: int

    @property
    def number(self) -> int:
        """How many signals ended."""
        return sum(self.ends.values())


def measure(place: Place, *, profile: Path | None) -> list[Section]:
    """Return the figures of one trade in each lane."""
    section = Section(
        "Claim to recorded outcome",
        f"{LANES} lanes (200 accounts, 4 instruments), an instant broker; one pod executes what was accepted before it "
        "started, one kind after the other. Overhead: from the claim to the end, less the time in calls of the broker.",
    )
    with place.broker() as broker, place.database(broker) as database:
        environment = place.environment(database, broker)
        began = datetime.now(UTC) - timedelta(minutes=30)
        phases = []
        for n, (kind, make) in enumerate(PHASES.items()):
            with place.pod(environment, "--accept-only") as door:
                drive(door.port, phase(make, began + timedelta(minutes=5 * n)))
            analyze(database)
            phases.append(_execute(place, environment, database, kind, profile))
    for found in phases:
        _tell(section, found)
    total, seconds = sum(p.number for p in phases), sum(p.seconds for p in phases)
    rate, own = total / seconds, median(s for p in phases for s in p.own)
    section.add("all kinds: signals a second", f"{rate:.0f}", f"at least {RATE:.0f}", rate >= RATE)
    section.add(
        "p50 of our own overhead, with all the work that there is",
        f"{own * 1e3:.1f} ms",
        f"at most {OVERHEAD_SECONDS * 1e3:.0f} ms",
        own <= OVERHEAD_SECONDS,
    )
    section.add("pod CPU of a signal", f"{sum(p.cpu for p in phases) / total * 1e3:.2f} ms")
    return [section]


def _tell(section: Section, found: Phase) -> None:
    ends = ", ".join(f"{n} {end}" for end, n in found.ends.most_common(4))
    section.add(f"{found.kind}: signals a second", f"{found.number / found.seconds:.0f} ({ends})")
    section.add(f"{found.kind}: pod CPU of a signal", f"{found.cpu / found.number * 1e3:.2f} ms")
    section.add(f"{found.kind}: PostgreSQL CPU of a signal", f"{found.server_cpu / found.number * 1e3:.2f} ms")
    section.add(f"{found.kind}: calls of the broker", f"{found.calls / found.number:.1f} each")
    section.add(f"{found.kind}: p50 of our own overhead", f"{median(found.own) * 1e3:.1f} ms")


def _execute(place: Place, environment: dict[str, str], database: str, kind: str, profile: Path | None) -> Phase:
    calls = place.folder / f"calls-{kind}"
    options = ["--calls", str(calls)]
    if profile is not None:
        options += ["--profile", str(profile.with_stem(f"{profile.stem}-{kind}"))]
    with psycopg.connect(database, autocommit=True) as connection:
        server = place.postgres_cpu_seconds()
        with place.pod(environment, *options) as pod:
            cpu = pod.cpu_seconds
            _until_nothing_is_open(connection, pod)
            cpu = pod.cpu_seconds - cpu
            server = place.postgres_cpu_seconds() - server
        rows = connection.execute(_ENDED, (kind,)).fetchall()
    spans = spans_of(calls.read_text().splitlines())
    return _phase(kind, rows, cpu, server, spans)


def _until_nothing_is_open(connection: psycopg.Connection[tuple[Any, ...]], pod: Child) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while connection.execute(_OPEN).fetchall()[0][0]:
        if time.monotonic() > deadline:
            raise RuntimeError("signals stay open")
        if pod.process.poll() is not None:
            raise RuntimeError("the pod has ended")
        time.sleep(0.2)


def _phase(kind: str, rows: list[tuple[Any, ...]], cpu: float, server: float, spans: dict[str, list[Span]]) -> Phase:
    first, last = min(row[3] for row in rows), max(row[4] for row in rows)
    return Phase(
        kind=kind,
        seconds=(last - first).total_seconds(),
        cpu=cpu,
        server_cpu=server,
        ends=Counter(f"{row[1]}: {row[2]}" for row in rows),
        own=_own(rows, spans),
        calls=sum(len(found) for of, found in spans.items() if of != "-"),
    )


def ended_overheads(database: str, kind: str, spans: dict[str, list[Span]]) -> list[float]:
    """Return the seconds of each signal that ended, from its claim to its end, outside of the broker's calls."""
    with psycopg.connect(database, autocommit=True) as connection:
        return _own(connection.execute(_ENDED, (kind,)).fetchall(), spans)


def _own(rows: list[tuple[Any, ...]], spans: dict[str, list[Span]]) -> list[float]:
    return [(row[4] - row[3]).total_seconds() - covered(spans.get(str(row[0]), ())) for row in rows]


def spans_of(lines: Iterable[str]) -> dict[str, list[Span]]:
    """Return when each signal was in calls of the broker."""
    found: defaultdict[str, list[Span]] = defaultdict(list)
    for line in lines:
        of, _, begin, end = line.split()
        found[of].append((float(begin), float(end)))
    return found


def covered(spans: Iterable[Span]) -> float:
    """Return how many seconds lie in at least one of the spans."""
    total, reached = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
