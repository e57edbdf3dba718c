"""Ends the processes of a test run that was itself killed, so that nothing is left running."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Self

# Reads until its standard input ends, which is when its owner ends in whatever way. The command is compared so that a
# recycled process id harms nobody.
_SCRIPT = """
cat >/dev/null
while read -r pid; do
    if ps -o comm= -p "$pid" | grep -q python; then kill -CONT "$pid"; kill -KILL "$pid"; fi
done <"$1"
"""


class Watchdog:
    """Guards processes for the time of its block; `file` keeps their ids."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._file.touch()
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "watchdog", str(self._file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def guard(self, pid: int) -> None:
        """Take a process under guard."""
        with self._file.open("a") as ids:
            ids.write(f"{pid}\n")

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(timeout=10)
