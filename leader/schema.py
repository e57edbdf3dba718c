"""Who could not write to the database stands for no election: first its schema has to be there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ratchet.clock import Clock
from ratchet.persistence import migrate
from ratchet.persistence.errors import PersistenceError

log = logging.getLogger(__name__)


async def look(address: str) -> str:
    """Return why a database cannot be led on: it does not answer, or its schema is too old; empty if it can."""
    try:
        status = await asyncio.to_thread(migrate.check, address)
    except PersistenceError as error:
        return str(error)
    return "" if status.serves else f"its schema is {status.current or 'missing'}, {status.head} is needed"


async def until_there(address: str, clock: Clock, *, every: float, stopped: Callable[[], bool]) -> None:
    """Return when the database can be led on, or when stopped. every: seconds between two looks."""
    told = ""
    while not stopped() and (why := await look(address)):
        if why != told:
            log.warning("no election before the database is ready: %s", why, extra={"event": "schema_awaited"})
            told = why
        await clock.sleep(every)
