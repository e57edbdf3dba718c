"""The files by whose locks a death is proven: kept as long as they can prove anything, and no longer."""

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from ratchet.bootstrap import open_runtime
from ratchet.config import load_settings

DAYS = 2 * 86_400.0


async def test_files_of_processes_that_died_long_ago_are_swept_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"ratchet-{os.getuid()}"
    folder.mkdir()
    fresh, old, living = (folder / f"{name}.alive" for name in ("fresh", "old", "living"))
    for file in (fresh, old, living):
        file.touch()
    for file in (old, living):
        os.utime(file, (file.stat().st_mtime - DAYS,) * 2)
    settings = load_settings(home=tmp_path / "home", openalgo_url="http://127.0.0.1:9", broker={"kind": "simulator"})
    with living.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        async with open_runtime(settings, role="service") as rt:
            assert set(folder.iterdir()) == {fresh, living, rt.lock_file}
    assert set(folder.iterdir()) == {fresh, living}
