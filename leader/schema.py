"""Who could not write to the database stands for no election: it has to answer, and its schema has to be there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ratchet.clock import Clock
from ratchet.observability.probes import Verdict
from ratchet.persistence.database import Database
from ratchet.persistence.errors import PersistenceError, StatementFailed
from ratchet.persistence.lists import standing
from ratchet.persistence.revision import newest, serves

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.5
"""A look that takes longer has found nothing."""


async def look(db: Database) -> Verdict:
    """Return whether a database can be led on, with what was found."""
    try:
        async with asyncio.timeout(LOOK_SECONDS), db.reading(name="look") as tx:
            found = (await standing(tx)).revision
    except StatementFailed:
        found = None  # it was never migrated
    except (PersistenceError, TimeoutError) as error:
        return Verdict(False, {"database": str(error) or "no answer in time"})
    return Verdict(serves(found), {"schema": found, "expected": newest()})


async def until_there(db: Database, clock: Clock, *, every: float, stopped: Callable[[], bool]) -> None:
    """Return when the database can be led on, or when stopped. every: seconds between two looks."""
    told = ""
    while not stopped() and not (found := await look(db)).ok:
        why = ", ".join(f"{name} {fact or 'missing'}" for name, fact in found.facts.items())
        if why != told:
            log.warning("no election before the database is ready: %s", why, extra={"event": "schema_awaited"})
            told = why
        await clock.sleep(every)
