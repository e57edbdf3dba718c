"""What a drill came to: its data, its verdict, and the files in which it is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from ratchet.kubectl.drills.definitions import Drill
from ratchet.kubectl.drills.sending import Tally

FORMAT = 1
STALE = "I17"
DOUBLED = ("I1", "I2", "I4", "I15")
"""The invariants that count what was done twice."""

NEEDED = ("I1", "I3", STALE)
"""Without these a drill shows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run. seconds: its recovery time; None if it did not recover. timeline: seconds after the fault, and what."""

    number: int
    began: str
    recovered: bool
    seconds: float | None
    lease_seconds: float | None
    epoch_seconds: float | None
    steady_seconds: float | None
    longest_wait_seconds: float | None
    client_errors: int | None
    timeline: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """pass, fail or inconclusive, and why."""

    verdict: str
    reasons: list[str]


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` of the values do not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def judge(
    drill: Drill,
    *,
    limit_seconds: float,
    wanted_runs: int,
    runs: Sequence[Run],
    signals: Tally | None,
    audit: Sequence[Mapping[str, Any]] | None,
    stopped: str = "",
) -> Judged:
    """Return the verdict. stopped: why the drill could not be gone through with, if so."""
    wrong = list(_wrong(drill, limit_seconds, runs, signals, audit))
    unknown = list(_unknown(wanted_runs, runs, signals, audit, stopped))
    verdict = "fail" if wrong else "inconclusive" if unknown else "pass"
    return Judged(verdict=verdict, reasons=[*wrong, *unknown])


def _wrong(
    drill: Drill,
    limit_seconds: float,
    runs: Sequence[Run],
    signals: Tally | None,
    audit: Sequence[Mapping[str, Any]] | None,
) -> Iterator[str]:
    lost = [run.number for run in runs if not run.recovered]
    if lost:
        yield f"no recovery in time in run {', '.join(map(str, lost))}"
    slow = percentile([run.seconds for run in runs if run.seconds is not None], 0.95)
    if slow is not None and slow > limit_seconds:
        yield f"the 95th percentile of the recovery time is {slow:.2f} s, more than {limit_seconds:g} s"
    if signals is not None:
        for count, what in (
            (signals.lost, "accepted signals have no end"),
            (signals.doubled, "signals were stored twice"),
            (signals.refused, "messages were refused"),
            (signals.unsent, "messages could not be handed in"),
        ):
            if count:
                yield f"{count} {what}"
        if drill.client_errors is not None and signals.client_errors > drill.client_errors:
            yield f"{signals.client_errors} tries of senders failed, more than {drill.client_errors}"
    for finding in audit or ():
        if finding["count"]:
            yield f"{finding['invariant']} is violated {finding['count']} times: {finding['meaning']}"


def _unknown(
    wanted_runs: int,
    runs: Sequence[Run],
    signals: Tally | None,
    audit: Sequence[Mapping[str, Any]] | None,
    stopped: str,
) -> Iterator[str]:
    if stopped:
        yield stopped
    if len(runs) < wanted_runs:
        yield f"{len(runs)} of {wanted_runs} runs were made"
    if signals is None:
        yield "no signals were sent"
    elif runs and not signals.accepted:
        yield "no signal was accepted, so none could be lost"
    if audit is None:
        yield "the invariants were not asked"
    skipped = [one["invariant"] for one in audit or () if one.get("skipped") and one["invariant"] in NEEDED]
    if skipped:
        yield f"invariants that matter were not asked: {', '.join(skipped)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that is kept of a drill."""

    drill: Drill
    release: str
    namespace: str
    started: str
    finished: str
    versions: Mapping[str, Any]
    lease_seconds: int
    limit_seconds: float
    wanted_runs: int
    rate: float
    runs: Sequence[Run]
    signals: Tally | None
    audit: Sequence[Mapping[str, Any]] | None
    stopped: str = ""
    note: str = ""

    def data(self) -> dict[str, Any]:
        """Return it as it is stored."""
        seconds = [run.seconds for run in self.runs if run.seconds is not None]
        judged = judge(
            self.drill,
            limit_seconds=self.limit_seconds,
            wanted_runs=self.wanted_runs,
            runs=self.runs,
            signals=self.signals,
            audit=self.audit,
            stopped=self.stopped,
        )
        counts = {one["invariant"]: one["count"] for one in self.audit or ()}
        return {
            "format": FORMAT,
            "drill": self.drill.name,
            "verdict": judged.verdict,
            "reasons": judged.reasons,
            "release": self.release,
            "namespace": self.namespace,
            "started": self.started,
            "finished": self.finished,
            "versions": dict(self.versions),
            "note": self.note,
            "hypothesis": self.drill.hypothesis,
            "thresholds": {
                "recovery_p95_seconds": self.limit_seconds,
                "recovery": self.drill.limit_in_words,
                "lease_seconds": self.lease_seconds,
                "client_errors": self.drill.client_errors,
                "lost": 0,
                "doubled": 0,
                "stale_epoch_writes": 0,
                "violations": 0,
            },
            "recovery": {
                "measure": str(self.drill.measure),
                "runs": len(self.runs),
                "wanted_runs": self.wanted_runs,
                **{name: _rounded(percentile(seconds, share)) for name, share in (("p50", 0.5), ("p95", 0.95))},
                "max": _rounded(max(seconds, default=None)),
            },
            "signals": None if self.signals is None else {"rate": self.rate, **asdict(self.signals)},
            "audit": None
            if self.audit is None
            else {
                "asked": sum(not one.get("skipped") for one in self.audit),
                "skipped": [one["invariant"] for one in self.audit if one.get("skipped")],
                "violated": {name: count for name, count in counts.items() if count},
                "doubled": sum(counts.get(name, 0) for name in DOUBLED),
                "stale_epoch_writes": counts.get(STALE),
            },
            "runs": [asdict(run) for run in self.runs],
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def keep(data: Mapping[str, Any], text: str, folder: Path) -> tuple[Path, Path]:
    """Write both files into a folder and return them. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = str(data["started"])[:19].replace("-", "").replace(":", "")
    base = folder / f"{data['drill']}-{stamp}"
    files = base.with_suffix(".json"), base.with_suffix(".md")
    files[0].write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    files[1].write_text(text, encoding="utf-8")
    return files
