"""`python -m bench [--quick] [--profile] [--rows N] [--write] [names]`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path

from rich.console import Console

from bench import accepting, executing, footprint, latency
from bench.place import RAISED, place
from bench.report import Section, show, write

NAMES = ("accept", "execute", "latency", "start", "rows")


def main() -> None:
    """Measure what was asked for, and print it."""
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything that was started is stopped
    console, sections = Console(), list[Section]()

    def profile(name: str) -> Path | None:
        if not args.profile:
            return None
        args.folder.mkdir(parents=True, exist_ok=True)
        return Path(args.folder) / f"{name}.txt"

    console.print("settings that differ from the defaults:", *(f"  {k}={v}" for k, v in RAISED.items()), sep="\n")
    with place() as where:
        for name in args.names or NAMES:
            found = _MEASURES[name](where, args, profile(name))
            for section in found:
                show(console, section)
            sections += found
    if args.profile:
        console.print(f"profiles of the pod: {args.folder}")
    if args.write:
        write(sections, "python -m bench " + shlex.join(sys.argv[1:]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="names", help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    parser.add_argument("--profile", action="store_true", help="write profiles of the pod; the figures suffer")
    parser.add_argument("--folder", type=Path, default=Path("profiles"), help="where profiles go")
    parser.add_argument("--rows", type=float, default=10, metavar="MILLIONS", help="rows of the large table")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    args = parser.parse_args()
    if args.write and (args.names or args.profile or args.quick):
        parser.error("--write is for a whole run")
    return args


_MEASURES = {
    "accept": lambda where, args, profile: accepting.measure(
        where, rounds=3 if args.quick else 7, count=1600 if args.quick else 4000, profile=profile
    ),
    "execute": lambda where, args, profile: executing.measure(where, profile=profile),
    "latency": lambda where, args, profile: latency.measure(where, rounds=2 if args.quick else 6, each=15),
    "start": lambda where, args, profile: footprint.measure_start(where, signals=10_000 if args.quick else 100_000),
    "rows": lambda where, args, profile: footprint.measure_rows(
        where,
        few=100_000,
        many=round(args.rows * 1_000_000),
        rounds=3 if args.quick else 7,
        count=1600 if args.quick else 4000,
    ),
}


if __name__ == "__main__":
    main()
