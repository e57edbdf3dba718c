"""The command line of a signal pod, without anything that takes time to import."""

from __future__ import annotations

import argparse

import ratchet

_HELP = """\
Takes signals in over HTTP and executes them, together with any number of pods like it.

Everything is set by RATCHET_... in the environment; `ratchet config check` explains what is missing. The pod is
unready until `ratchet migrate up` has prepared the database. SIGTERM drains it and ends with 0; a second one ends
it at once.
"""


def parse() -> None:
    """Read the command line: it has no options but the ones that explain and end."""
    parser = argparse.ArgumentParser(
        prog="python -m service", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=ratchet.__version__)
    parser.parse_args()
