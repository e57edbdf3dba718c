"""Fills: each step by which an intent's filled quantity grew, once."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import bindparam, insert, select

from ratchet.domain.identity import IntentId
from ratchet.domain.orders import Intent
from ratchet.persistence.tables import fills as t
from ratchet.persistence.transaction import Row, Transaction, Write
from ratchet.persistence.types import db_now

_RECORD = insert(t).values(
    {
        column: bindparam(column, type_=t.c[column].type)
        for column in "intent_id cum_filled account quantity price".split()
    }
    | {"at": db_now()}
)
_OF_INTENT = select(t).where(t.c.intent_id == bindparam("intent_id", type_=t.c.intent_id.type)).order_by(t.c.cum_filled)


def recording(intent: Intent, *, cum_filled: int, quantity: int, price: Decimal) -> Write:
    """Return the change that writes one step down. quantity: units of this step; price: its average."""
    return Write(
        _RECORD,
        {
            "intent_id": intent.id,
            "cum_filled": cum_filled,
            "account": intent.account,
            "quantity": quantity,
            "price": price,
        },
    )


async def of_intent(tx: Transaction, intent_id: IntentId) -> list[Row]:
    """Return the steps of one intent."""
    return await tx.all(_OF_INTENT, intent_id=intent_id)
