"""How much is under way and how much waits for a person: counts for gauges, which decide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from ratchet.domain.orders import IN_FLIGHT, IntentState
from ratchet.persistence.tables import incident, order_intent
from ratchet.persistence.transaction import Transaction

_STATES = tuple(sorted(str(state) for state in IN_FLIGHT))
_INTENTS = (
    select(order_intent.c.state, func.count().label("many"))
    .where(order_intent.c.state.in_(_STATES))
    .group_by(order_intent.c.state)
)
_INCIDENTS = (
    select(incident.c.kind, func.count().label("many")).where(incident.c.closed_at.is_(None)).group_by(incident.c.kind)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """intents: orders under way, by state, none left out. incidents: open ones, by kind."""

    intents: Mapping[IntentState, int]
    incidents: Mapping[str, int]


async def count(tx: Transaction) -> Backlog:
    """Count what is under way."""
    found = {row["state"]: int(row["many"]) for row in await tx.all(_INTENTS)}
    return Backlog(
        intents={state: found.get(str(state), 0) for state in IN_FLIGHT},
        incidents={row["kind"]: int(row["many"]) for row in await tx.all(_INCIDENTS)},
    )
