"""kubectl as tests have it: a program on PATH that answers what they wrote down."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.kubectl.fake import FakeKubectl


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    """The program, first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    found = FakeKubectl(folder)
    found.install()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return found
