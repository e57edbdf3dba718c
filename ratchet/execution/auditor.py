"""The auditor: the eighteen invariants of the protocol, asked of the database and of the broker's book.

It reads and judges; it changes nothing. On a running system the book is read first and the database after it, so that
what moves in between is not taken for a violation. Source: docs/protocol.md, section 11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ratchet.brokers.audit_book import AuditBook
from ratchet.execution import against_book
from ratchet.persistence import audits
from ratchet.persistence.transaction import Row, Transaction
from ratchet.runtime import Runtime

MEANINGS: Mapping[str, str] = {
    "I1": "each intent made at most one order at the broker",
    "I2": "each leg of an entry was sent at most once, but for orders whose end is proven",
    "I3": "every signal ends, or is held by a person who was told",
    "I4": "no signal ends twice",
    "I5": "what ended at the broker is booked with the broker's filled quantity",
    "I6": "no order exists of an intent that says there is none",
    "I7": "every order at the broker has an intent or an incident",
    "I8": "reserved and used margin, and equity, are the sums of their parts",
    "I9": "nothing is held on the wrong side",
    "I10": "layers, fills and the broker's positions agree",
    "I11": "a contract and side never had two orders in flight",
    "I12": "no event is missing",
    "I13": "no entry was sent past an exit with a later stamp",
    "I14": "no entry was sent while entries were switched off",
    "I15": "a fingerprint is stored once",
    "I16": "no leg of a roll was done twice, and no layer has two rolls under way",
    "I17": "no earlier leader wrote after a later one",
    "I18": "the broker's rate of order calls was kept",
}

SAMPLE = 20
"""Most rows that a finding carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One invariant. count: violations; rows: the first of them. skipped: why it could not be asked, if so."""

    invariant: str
    meaning: str
    count: int
    rows: list[dict[str, Any]]
    skipped: str | None = None


async def audit(rt: Runtime, *, book: AuditBook | None = None, liveness_seconds: float | None = None) -> list[Finding]:
    """Ask every invariant, in order.

    book: a book that knows more than brokers show (the simulator's own), read just before; None reads the brokers'.
    liveness_seconds: longest time that a signal may be open; by default what the settings' waits add up to.
    Raises BrokerError if a book cannot be read, PersistenceError.
    """
    shown = book if book is not None else await against_book.read_book(rt)
    patience = timedelta(seconds=longest_open_seconds(rt) if liveness_seconds is None else liveness_seconds)
    async with rt.db.reading(name="audit") as tx:
        found: dict[str, Sequence[Row]] = {name: await tx.all(query) for name, query in audits.DIRECT.items()}
        found["I3"] = await _not_ended(tx, await tx.now() - patience)
        found["I8"] = await audits.money(tx)
        found["I11"] = await audits.slots(tx)
        lock_wait = timedelta(seconds=rt.settings.database.lock_timeout_seconds)
        found["I13"] = await audits.entries_after_exits(tx, raised_within=lock_wait)
        found["I14"] = await audits.entries_while_off(tx)
        found["I16"] = await audits.rolls(tx)
        found["I17"] = await audits.epochs(tx)
        found |= await against_book.check(tx, rt, shown)
    return [_finding(name, found.get(name)) for name in MEANINGS]


def longest_open_seconds(rt: Runtime) -> float:
    """Return how long a signal may stay open by the settings: until old, unknown, drained, and past its deadline."""
    execution, broker = rt.settings.execution, rt.settings.broker
    return (
        execution.entry_age_limit_seconds
        + execution.claim_lease_seconds
        + broker.drain_bound_seconds
        + broker.pause_margin_seconds
        + execution.review_margin_seconds
    )


def _finding(name: str, rows: Sequence[Row] | None) -> Finding:
    if rows is None:
        return Finding(
            invariant=name, meaning=MEANINGS[name], count=0, rows=[], skipped="the broker's book does not tell"
        )
    return Finding(invariant=name, meaning=MEANINGS[name], count=len(rows), rows=[dict(row) for row in rows[:SAMPLE]])


async def _not_ended(tx: Transaction, before: datetime) -> list[Row]:
    """I3: open for too long, or left to a person whom no open incident tells.

    Held are: what waits for the next session, exits while exits are switched off, and what stands behind a review.
    """
    now, exits_on = await tx.now(), await audits.exits_on(tx)
    reviews = await audits.in_review(tx)
    held_lanes = {(row["account"], row["instrument"]) for row in reviews if row["has_incident"]}
    late = [
        row
        for row in await audits.overdue(tx, before=before)
        if (row["account"], row["instrument"]) not in held_lanes
        and not _waits_for_session(row, now)
        and (exits_on or row["kind"] != "EXIT")
    ]
    return [*late, *(row for row in reviews if not row["has_incident"])]


def _waits_for_session(row: Row, now: datetime) -> bool:
    opens = (row["detail"] or {}).get("not_before")
    return opens is not None and datetime.fromisoformat(opens) > now
