"""The report of a soak: what was done when, and what was found, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.soak.play import Result


def write(folder: Path, results: Sequence[Result]) -> None:
    """Write report.json and report.md."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = sorted(results, key=lambda result: result.seed)
    summary = _summary(rows)
    data = {"summary": summary, "schedules": [asdict(row) for row in rows]}
    (folder / "report.json").write_text(json.dumps(data, default=str, indent=1))
    (folder / "report.md").write_text("\n".join(_lines(rows, summary)) + "\n")


def line(result: Result) -> str:
    """Return one schedule in one line."""
    violated = ", ".join(found["invariant"] for found in result.findings)
    orders = sum(result.counts.get("orders", {}).values())
    signals = sum(result.counts.get("signals", {}).values())
    verdict = f"VIOLATED {violated}, see {result.folder}" if violated else "ok"
    sums = f"{signals} signals, {orders} orders, leaders by {result.leaders}, {result.seconds} s"
    return f"seed {result.seed}: {verdict} ({sums})"


def _summary(rows: Sequence[Result]) -> dict[str, Any]:
    done: Counter[str] = Counter(entry["what"] for row in rows for entry in row.diary)
    sums: dict[str, Counter[str]] = {}
    for row in rows:
        for name, counts in row.counts.items():
            sums.setdefault(name, Counter()).update(counts)
    return {
        "schedules": len(rows),
        "violated": [row.seed for row in rows if row.findings],
        "invariants": dict(Counter(found["invariant"] for row in rows for found in row.findings)),
        "broken_build": next((row.broken for row in rows if row.broken), None),
        "elected_by": dict(Counter(row.leaders for row in rows)),
        "done": dict(done.most_common()),
        "failpoints_fired": dict(Counter(fired for row in rows for fired in row.fired).most_common()),
        **{name: dict(counts.most_common()) for name, counts in sums.items()},
    }


def _lines(rows: Sequence[Result], summary: dict[str, Any]) -> list[str]:
    lines = ["# Soak", ""]
    lines += [f"- {name.replace('_', ' ')}: {_words(value)}" for name, value in summary.items()]
    lines += ["", "A seed draws the whole schedule; how processes interleave differs from run to run.", ""]
    lines += [f"- {line(row)}" for row in rows]
    for row in rows:
        if row.findings:
            lines += _details(row)
    return lines


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _details(row: Result) -> list[str]:
    lines = ["", f"## Seed {row.seed}", "", f"Replay: `python -m tests.soak --seed {row.seed}`.", ""]
    lines += [
        f"Armed: {', '.join(filter(None, row.failpoints)) or 'nothing'}; fired: {', '.join(row.fired) or 'nothing'}. "
        f"Leaders were elected by {row.leaders}.",
        "",
    ]
    for found in row.findings:
        lines.append(f"- {found['invariant']} ({found['meaning']}): {found['count']}")
        lines += [f"  - `{json.dumps(one, default=str)[:600]}`" for one in found["rows"][:5]]
    lines += ["", "| at | what | detail |", "|---|---|---|"]
    for entry in row.diary:
        detail = {name: value for name, value in entry.items() if name not in ("at", "what")}
        lines.append(f"| {entry['at']} | {entry['what']} | {json.dumps(detail, default=str)[:200]} |")
    return lines
