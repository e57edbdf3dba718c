"""The page of drills, from their definitions and from the reports that are kept beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from docs.markdown import NOTE, table
from ratchet.kubectl.drill import thresholds
from ratchet.kubectl.drills.definitions import DRILLS, FAULT_COMMAND, Drill
from ratchet.kubectl.drills.text import SUMMARY, summary_row
from ratchet.kubectl.report import read

REPORTS = Path(__file__).with_name("drills")


def drills() -> str:
    """Return the page."""
    parts = [
        "# Drills",
        NOTE,
        "A drill breaks a release on purpose, under load, and shows whether what is promised holds: "
        "`kubectl ratchet drill NAME` ([all its flags](../reference/kubectl.md#kubectl-ratchet-drill)). It sends "
        "signals "
        "throughout from a pod of its own, a fifth of them twice, makes the fault, waits until another leads or "
        "everything "
        "stands again, repeats that `--runs` times, waits for the end of every signal, runs `ratchet verify`, and "
        "leaves a "
        "report as Markdown and as JSON. It refuses a release whose broker is live, unless you write the release's "
        "name, "
        "and sends it no signals.",
        "A verdict is `fail` if anything that was promised did not hold, `inconclusive` if something could not be "
        "tried or "
        "asked, else `pass`. Recovery is the time from the fault to the next leader's epoch, or the longest that a "
        "sender "
        "waited for its receipt, by the clock of whoever watches: kubectl's own time is in it. The 95th percentile "
        "of ten "
        "runs is the slowest of them.",
        "## Reports",
        "Made on one machine of two cores that carried a whole cluster of three nodes. Series that failed are kept as "
        "well: those named crowded were made with other work on the machine at the same time, the others carry a "
        "note of what was mended.",
        "\n".join(_results()) or "None is kept here yet.",
        f"## What kubectl cannot do\n\n```text\n{FAULT_COMMAND}\n```",
    ]
    for drill in DRILLS.values():
        parts += list(_section(drill))
    return "\n\n".join(part.rstrip() for part in parts)


def _section(drill: Drill) -> Iterator[str]:
    yield f"## {drill.name}"
    yield f"{drill.does[0].upper()}{drill.does[1:]}. {drill.hypothesis}"
    yield f"Holds if: {thresholds(drill)}."
    yield f"By hand, for a release `ratchet` in the current namespace:\n\n```sh\n{drill.by_hand}\n```"
    yield f"To be seen: {drill.expect}"


def _results() -> Iterator[str]:
    files = sorted(REPORTS.glob("*.json"), key=lambda file: list(DRILLS).index(read(file)["drill"]))
    if not files:
        return
    rows = []
    for file in files:
        data = read(file)
        _, *rest = summary_row(data)
        rows.append((f"[{file.stem}]({file.stem}.md)", data["started"][:10], *rest))
    yield table((SUMMARY[0], "day", *SUMMARY[1:]), rows)
