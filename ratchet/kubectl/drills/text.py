"""A drill's report as Markdown, from its stored data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_SIGNALS = (
    ("sent", "sent"),
    ("accepted", "accepted"),
    ("executed", "executed"),
    ("doubled", "doubled"),
    ("lost", "lost"),
    ("client_errors", "failed tries of senders"),
    ("refused", "refused"),
    ("unsent", "given up"),
    ("longest_wait_seconds", "longest wait for a receipt, s"),
)

SUMMARY = (
    "drill",
    "verdict",
    "runs",
    "p50 s",
    "p95 s",
    "max s",
    "limit s",
    "sent",
    "lost",
    "doubled",
    "older epoch",
    "failed tries",
)
"""The columns of the table of many reports."""


def markdown(data: Mapping[str, Any]) -> str:
    """Return the report."""
    return "\n".join(_lines(data)).rstrip() + "\n"


def summary(reports: Iterable[Mapping[str, Any]]) -> str:
    """Return a table of many reports."""
    return "\n".join(_table(SUMMARY, [summary_row(data) for data in reports]))


def summary_row(data: Mapping[str, Any]) -> list[str]:
    """Return a report as a row of the table of many."""
    recovery, signals, audit = data["recovery"], data["signals"] or {}, data["audit"] or {}
    return [
        data["drill"],
        data["verdict"],
        f"{recovery['runs']}/{recovery['wanted_runs']}",
        *(_number(recovery[name]) for name in ("p50", "p95", "max")),
        _number(data["thresholds"]["recovery_p95_seconds"]),
        *(_number(signals.get(name)) for name in ("sent", "lost")),
        _number(_sum(signals.get("doubled"), audit.get("doubled"))),
        _number(audit.get("stale_epoch_writes")),
        _number(signals.get("client_errors")),
    ]


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    limits, recovery = data["thresholds"], data["recovery"]
    yield f"# Drill {data['drill']}: {data['verdict']}"
    yield ""
    yield from (f"- {reason}" for reason in data["reasons"])
    if data["reasons"]:
        yield ""
    yield data["hypothesis"]
    yield ""
    versions = ", ".join(f"{name} {value}" for name, value in data["versions"].items())
    yield f"Release `{data['release']}`, {data['started'][:19]} to {data['finished'][11:19]} UTC. {versions}."
    yield ""
    if data.get("note"):
        yield f"Note: {data['note']}"
        yield ""
    errors = limits["client_errors"]
    yield from _table(
        ("threshold", "limit", "found"),
        [
            [
                f"recovery time, p95 ({_measured(recovery)})",
                f"{limits['recovery_p95_seconds']:g} s",
                _seconds(recovery["p95"]),
            ],
            ["signals lost", "0", _number((data["signals"] or {}).get("lost"))],
            [
                "done twice",
                "0",
                _number(_sum((data["signals"] or {}).get("doubled"), (data["audit"] or {}).get("doubled"))),
            ],
            ["writes under an older epoch", "0", _number((data["audit"] or {}).get("stale_epoch_writes"))],
            [
                "failed tries of senders",
                "any" if errors is None else str(errors),
                _number((data["signals"] or {}).get("client_errors")),
            ],
            ["violated invariants", "0", _violated(data["audit"])],
        ],
    )
    yield ""
    yield (
        f"Recovery over {recovery['runs']} runs: p50 {_seconds(recovery['p50'])}, p95 {_seconds(recovery['p95'])}, "
        f"max {_seconds(recovery['max'])}."
    )
    if data["signals"] is not None:
        yield ""
        yield "## Signals"
        yield ""
        yield f"At {data['signals']['rate']:g} a second, a fifth of them sent twice."
        yield ""
        yield from _table(("what", "count"), [[words, _number(data["signals"][name])] for name, words in _SIGNALS])
        problems = data["signals"].get("problems")
        if problems:
            yield ""
            yield "What senders were told when a try failed, by the number of messages:"
            yield ""
            yield from (f"- {count}: {told}" for told, count in problems.items())
    yield from _runs(data["runs"])


def _runs(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not runs:
        return
    yield ""
    yield "## Runs"
    yield ""
    head = ("run", "began", "recovery s", "lease s", "epoch s", "steady s", "longest wait s", "failed tries")
    keys = ("seconds", "lease_seconds", "epoch_seconds", "steady_seconds", "longest_wait_seconds", "client_errors")
    yield from _table(head, [[str(r["number"]), r["began"][11:19], *(_number(r[key]) for key in keys)] for r in runs])
    for run in runs:
        yield ""
        yield f"Run {run['number']}:"
        yield ""
        yield "```text"
        yield from (f"{moment['seconds']:>9.3f} s  {moment['what']}" for moment in run["timeline"])
        yield "```"
        yield from (f"- {note}" for note in run["notes"])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _measured(recovery: Mapping[str, Any]) -> str:
    return "fault to next epoch" if recovery["measure"] == "takeover" else "longest wait of a sender around a fault"


def _violated(audit: Mapping[str, Any] | None) -> str:
    if audit is None:
        return "not asked"
    found = ", ".join(f"{name} {count}" for name, count in audit["violated"].items())
    return found or f"0 of {audit['asked']}"


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} s"


def _number(value: float | int | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)
