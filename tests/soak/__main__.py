"""`python -m tests.soak`: play schedules one after another, and write a report."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from ratchet.broken import Broken
from tests.cluster.conftest import Cluster
from tests.soak import report
from tests.soak.api_server import named_cluster
from tests.soak.play import Result, play
from tests.soak.site import Servers

UNPLAYED = "played"
"""Stands for an invariant where a schedule could not be played to its end."""
EXAMPLES = """\
examples:
  python -m tests.soak --seed 7                 one schedule; again, if it failed
  python -m tests.soak --seeds 1..500 --jobs 2  many, two at a time
  python -m tests.soak --seed 1 --minutes 30    seeds 1, 2, 3 ... for half an hour

Ends with 1 if an invariant was violated. DIR/report.md says what was done when and what was found; the logs of a
schedule that failed are kept beside it."""


def main() -> int:
    """Play, and return 0 if nothing was violated."""
    args = _parser().parse_args()
    logging.disable(logging.CRITICAL)  # what the processes say stands in their logs
    folder = Path(args.out) if args.out else Path(tempfile.mkdtemp(prefix="ratchet-soak-"))
    deadline = None if args.minutes is None else time.monotonic() + 60 * args.minutes
    results = asyncio.run(_soak(_seeds(args), folder, args.jobs, deadline, args.broken, named_cluster()))
    violated = [result.seed for result in results if result.findings]
    print(f"{len(results)} schedules, {len(violated)} with violations {violated or ''}: {folder / 'report.md'}")
    return 1 if violated else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, default=1, help="the first seed; without --minutes the only one (1)")
    which.add_argument("--seeds", type=_range, metavar="A..B", help="these seeds")
    parser.add_argument("--minutes", type=float, help="begin no schedule after so many minutes")
    parser.add_argument("--jobs", type=int, default=1, help="schedules at one time, each with servers of its own (1)")
    parser.add_argument("--out", metavar="DIR", help="folder of the report (a new one below the system's)")
    parser.add_argument("--broken", type=Broken, choices=list(Broken), help="leave a safeguard out: it must be caught")
    return parser


def _range(text: str) -> range:
    first, last = text.split("..")
    return range(int(first), int(last) + 1)


def _seeds(args: argparse.Namespace) -> Iterator[int]:
    if args.seeds is not None:
        return iter(args.seeds)
    return count(args.seed) if args.minutes is not None else iter([args.seed])


async def _soak(
    seeds: Iterator[int],
    folder: Path,
    jobs: int,
    deadline: float | None,
    broken: Broken | None,
    cluster: Cluster | None,
) -> list[Result]:
    results: list[Result] = []

    async def job() -> None:
        while await with_servers():
            print("servers are started anew", flush=True)

    async def with_servers() -> bool:
        """Play until there is nothing left to play (False), or until a schedule could not be played (True)."""
        servers = Servers()
        await asyncio.to_thread(servers.__enter__)
        try:
            for seed in seeds:
                if deadline is not None and time.monotonic() > deadline:
                    return False
                result = await _played(servers, folder / f"seed-{seed}", seed, broken, cluster)
                results.append(result)
                print(report.line(result), flush=True)
                report.write(folder, results)
                if any(found["invariant"] == UNPLAYED for found in result.findings):
                    return True
            return False
        finally:
            await asyncio.to_thread(servers.__exit__)

    async with asyncio.TaskGroup() as group:
        for _ in range(jobs):
            group.create_task(job())
    return results


async def _played(servers: Servers, folder: Path, seed: int, broken: Broken | None, cluster: Cluster | None) -> Result:
    try:
        return await play(servers, folder, seed, broken=broken, cluster=cluster)
    except Exception:  # noqa: BLE001 - the edge of a schedule: the others go on
        why = traceback.format_exc()[-3000:]
        found = {"invariant": UNPLAYED, "meaning": "the schedule can be played", "count": 1, "rows": [why]}
        return Result(seed=seed, findings=[found], folder=str(folder))


if __name__ == "__main__":
    sys.exit(main())
