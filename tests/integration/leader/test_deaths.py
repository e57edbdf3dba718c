"""When a holder counts as dead before its lease has run out."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from leader.deaths import evidence
from ratchet.bootstrap import open_runtime
from ratchet.persistence import instances
from ratchet.runtime import Runtime
from tests.world import settings_for

HERE = os.uname().nodename


@pytest_asyncio.fixture
async def rt(tmp_path: Path, sqlite_url: str) -> AsyncIterator[Runtime]:
    """A runtime."""
    settings = settings_for(tmp_path, sqlite_url, "http://127.0.0.1:9")
    async with open_runtime(settings, role="leader") as opened:
        await opened.db.open()
        yield opened


async def entered(rt: Runtime, boot_id: str, lock_file: Path | None, host: str = HERE) -> None:
    """Enter a process among the instances."""
    async with rt.db.transaction(name="test") as tx:
        await instances.start(tx, boot_id=boot_id, role="leader", host=host, version="1", pod=None, lock_file=lock_file)


async def test_the_container_before_us_in_our_pod_is_dead_and_we_are_not(rt: Runtime) -> None:
    dead = evidence(rt.db, "pod_uid-1_bbbbbbbb", "uid-1")
    assert await dead("pod_uid-1_aaaaaaaa")
    assert not await dead("pod_uid-1_bbbbbbbb")
    assert not await dead("pod_uid-2_aaaaaaaa")


async def test_a_process_whose_lock_is_free_is_dead(rt: Runtime, tmp_path: Path) -> None:
    lock = tmp_path / "other.alive"
    lock.touch()
    await entered(rt, "leader-0123456789abcdef", lock)
    dead = evidence(rt.db, "me", "uid-1")
    assert await dead("host_leader-0123456789abcdef")
    assert await dead("pod_uid-9_89abcdef")
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not await dead("host_leader-0123456789abcdef")


@pytest.mark.parametrize("what", ["of another host", "without a lock", "whose file is gone", "unknown"])
async def test_a_process_that_nothing_is_known_of_is_not_dead(rt: Runtime, tmp_path: Path, what: str) -> None:
    lock = tmp_path / "other.alive"
    if what != "whose file is gone":
        lock.touch()
    if what != "unknown":
        await entered(
            rt,
            "leader-0123456789abcdef",
            None if what == "without a lock" else lock,
            "elsewhere" if what == "of another host" else HERE,
        )
    assert not await evidence(rt.db, "me", "uid-1")("host_leader-0123456789abcdef")
