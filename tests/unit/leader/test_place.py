"""Which lease a process uses, by its settings and by what its pod was given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leader.place import chosen
from ratchet.config import Settings
from ratchet.config.duties import LeaderBackend


def settings(tmp_path: Path, **leader: Any) -> Settings:
    """Return settings of a process on a shared database."""
    return Settings(database_url="postgresql://u:p@h/d", home=tmp_path, leader=leader)


@pytest.mark.parametrize("backend", [LeaderBackend.DATABASE, LeaderBackend.KUBERNETES])
def test_what_is_set_is_used(tmp_path: Path, backend: LeaderBackend) -> None:
    assert chosen(settings(tmp_path, backend=backend), exists=lambda _: True) is backend


def test_by_itself_a_pod_with_a_service_account_uses_its_cluster_and_nobody_else_does(tmp_path: Path) -> None:
    assert chosen(settings(tmp_path), exists=lambda _: True) is LeaderBackend.KUBERNETES
    assert chosen(settings(tmp_path), exists=lambda _: False) is LeaderBackend.DATABASE
    assert chosen(settings(tmp_path), exists=lambda path: path.name == "token") is LeaderBackend.DATABASE


def test_the_embedded_mode_never_uses_a_cluster(tmp_path: Path) -> None:
    assert chosen(Settings(home=tmp_path), exists=lambda _: True) is LeaderBackend.DATABASE


def test_service_and_leader_do_not_import_the_cluster_s_client_until_they_need_it() -> None:
    script = "import sys, service, leader.command, ratchet.cli.run; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0
