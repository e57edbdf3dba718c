"""The kill switch: one update of one row, which every permission to send reads under a shared lock.

When it has committed, no further order is permitted anywhere. What was permitted before is listed: it is, or may be, at
the broker, and is followed to its end. Source: docs/protocol.md, section 8.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum

from ratchet.domain.orders import Intent, IntentState
from ratchet.failpoints import Failpoint, reach
from ratchet.persistence import control, incidents, intents
from ratchet.persistence.control import Control
from ratchet.persistence.database import Database
from ratchet.persistence.errors import CommitInDoubt
from ratchet.persistence.transaction import Transaction

log = logging.getLogger(__name__)

KILL_SWITCH = "kill_switch"
"""The kind of incident that says that sending was stopped by itself."""


class Level(StrEnum):
    """What may be sent. Exits stay on unless everything is stopped."""

    ON = "on"
    ENTRIES_OFF = "entries_off"
    ALL_OFF = "all_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """What holds after the switch. took_effect: False only after a commit in doubt that was read back as not done.

    in_doubt: the commit's answer was lost, and the switches were read back. on_the_way: orders permitted before.
    """

    switches: Control
    took_effect: bool
    in_doubt: bool
    on_the_way: list[Intent]


async def switch(db: Database, level: Level, *, reason: str, by: str) -> Switched:
    """Set the switch, and list the orders that were on their way. Raises ValueError without a reason.

    Switching on closes the incidents that said why sending had stopped. A commit in doubt is read back, not repeated:
    the caller is told which value holds. Raises PersistenceError if nothing is known.
    """
    if not reason.strip():
        raise ValueError("reason: say why, for the journal")
    in_doubt = False
    try:
        async with db.transaction(name="kill-switch", commit_in_doubt=lambda: reach(Failpoint.K19)) as tx:
            await control.switch(
                tx,
                entries_on=level is Level.ON,
                exits_on=level is not Level.ALL_OFF,
                reason=reason,
                actor=by,
            )
            if level is Level.ON:
                await incidents.close_kind(tx, KILL_SWITCH, by=by, decision=reason)
    except CommitInDoubt:
        in_doubt = True

    async def read(tx: Transaction) -> tuple[Control, list[Intent]]:
        return await control.share(tx), await intents.on_the_way(tx)  # shared: a commit under way is waited for

    switches, orders = await db.run(read, name="kill-switch-read")
    log.warning("sending switched", extra={"event": "switched", "level": str(level), "by": by, "reason": reason})
    return Switched(switches=switches, took_effect=_is(switches, level), in_doubt=in_doubt, on_the_way=orders)


def _is(switches: Control, level: Level) -> bool:
    return (switches.entries_on, switches.exits_on) == (level is Level.ON, level is not Level.ALL_OFF)


async def cancel_working(db: Database, *, exits_too: bool) -> list[Intent]:
    """Ask for the cancel of every working order that opens something, of exits as well if asked; return those.

    The wish is durable: whoever follows an order carries it out, and reads what had filled. An exit that is cancelled
    while exits are on is placed again.
    """

    async def work(tx: Transaction) -> list[Intent]:
        return [
            intent
            for intent in await intents.on_the_way(tx)
            if intent.state is IntentState.WORKING
            and (intent.purpose.opens or exits_too)
            and await intents.ask_cancel(tx, intent)
        ]

    return await db.run(work, name="cancel-working")
