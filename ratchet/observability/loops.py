"""The event loop of a process that serves, and what it says about errors that nobody awaits."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import uvloop

log = logging.getLogger(__name__)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return one by uvloop.

    A connection that is given up while its name is looked up leaves that lookup behind, whose failure uvloop reports as
    an error once it is forgotten. Whoever gave up has said so already: the rest is a matter of debugging.
    """
    loop = uvloop.new_event_loop()
    loop.set_exception_handler(_report)
    return loop


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, socket.gaierror) and "future" in context:
        log.debug("a lookup that nobody waits for failed: %s", error, extra={"event": "lookup_abandoned"})
        return
    loop.default_exception_handler(context)
