"""What the event loop of a server says about errors that nobody awaits."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket

import pytest

from ratchet.observability.loops import new_event_loop


def forget(error: Exception) -> None:
    """Let a future with that error go, unread."""

    async def leave() -> None:
        asyncio.get_running_loop().create_future().set_exception(error)
        gc.collect()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(leave())


def test_a_lookup_that_nobody_waits_for_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    forget(socket.gaierror(-3, "Temporary failure in name resolution"))
    assert [line.levelname for line in caplog.records if "name resolution" in line.getMessage()] == ["DEBUG"]
    assert not [line for line in caplog.records if line.levelno >= logging.WARNING]


def test_any_other_error_that_nobody_reads_is_one(caplog: pytest.LogCaptureFixture) -> None:
    forget(ValueError("not read"))
    assert [line.name for line in caplog.records if line.levelno >= logging.ERROR] == ["asyncio"]
