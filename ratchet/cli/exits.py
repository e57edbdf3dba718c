"""Exit codes, the same for every command."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the process's exit code says."""

    OK = 0
    FOUND = 1
    USAGE = 2
    UNREACHABLE = 3
    CONFIGURATION = 4
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "done, and nothing to complain about",
    Exit.FOUND: "done, but a person should look: a violation, a refused signal, an old schema",
    Exit.USAGE: "the command line makes no sense",
    Exit.UNREACHABLE: "the service, the database or the broker does not answer",
    Exit.CONFIGURATION: "the settings or the portfolio file cannot be used",
    Exit.INTERRUPTED: "stopped by Ctrl-C",
}
