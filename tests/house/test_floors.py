"""Imports go down: the contracts in .importlinter hold, and they are about code that exists."""

import configparser
import subprocess
import sys
from pathlib import Path

from tests.house.sources import ROOT


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_module_of_the_library_stands_on_a_floor() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    floors = set(contracts["importlinter:contract:floors"]["layers"].replace("|", " ").split())
    top = [
        path
        for path in (ROOT / "ratchet").iterdir()
        if path.name[0] not in "._" and (path.suffix == ".py" or path.is_dir())
    ]
    rooms = {f"ratchet.{path.stem}" for path in top}
    assert rooms - floors == set()
