"""The contract master against the rules: the expiries that the broker lists, and those that the calendar lets expect.

The broker's list is traded on all the same; where the two differ a person is told, once a day. Source:
docs/domain.md, section 10.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, time

from ratchet.brokers.base import BrokerError
from ratchet.domain.calendar import IST
from ratchet.domain.expiries import ExpiryMismatch, expiry_mismatch
from ratchet.domain.instruments import Instrument
from ratchet.execution.markets import Markets, never_closes
from ratchet.persistence import incidents
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

EXPIRY_MISMATCH = "expiry_mismatch"


async def run(rt: Runtime) -> int:
    """Compare every instrument's near expiries; returns how many differ. Without the broker nothing follows.

    One incident a day names all that differ, and closes itself when nothing does. Raises PersistenceError.
    """
    markets = Markets(rt)
    account = min(rt.portfolio.accounts)  # the lists are the broker's, the same for every account
    differing: dict[str, ExpiryMismatch] = {}
    try:
        for name, instrument in sorted(rt.portfolio.instruments.items()):
            mismatch = await _compare(markets, account, instrument)
            if mismatch is not None:
                differing[name] = mismatch
    except BrokerError as error:
        log.warning("the expiries cannot be read", extra={"event": "no_expiries", "why": str(error)})
        return 0
    await _tell(rt, markets, account, differing)
    return len(differing)


async def _compare(markets: Markets, account: str, instrument: Instrument) -> ExpiryMismatch | None:
    """Compare on trading days only; a market that never closes has no holidays, so its rules cannot be known."""
    close = await markets.day_close(account, instrument.exchange)
    if close is None or never_closes(close):
        return None
    listed = await markets.expiries(account, instrument)
    calendar = await markets.calendar(account)
    return expiry_mismatch(listed, instrument.expiry_rule, markets.today(), calendar, instrument.exchange)


async def _tell(rt: Runtime, markets: Markets, account: str, differing: dict[str, ExpiryMismatch]) -> None:
    summary = "; ".join(f"{name}: {_words(mismatch)}" for name, mismatch in differing.items())
    midnight = datetime.combine(markets.today(), time(0), IST).astimezone(UTC)

    async def work(tx: Transaction) -> bool:
        if not differing:
            await incidents.close_alarm(tx, account, kind=EXPIRY_MISMATCH, instrument=None, by=rt.boot_id)
            return False
        if await incidents.told_since(tx, account, kind=EXPIRY_MISMATCH, since=midnight):
            return False
        return await incidents.open_incident(
            tx, account=account, kind=EXPIRY_MISMATCH, summary=summary, actor=rt.boot_id
        )

    if await rt.db.run(work, name="expiries"):
        log.error("listed expiries differ from the rules", extra={"event": EXPIRY_MISMATCH, "why": summary})


def _words(mismatch: ExpiryMismatch) -> str:
    parts = (("not listed", mismatch.missing), ("not expected", mismatch.unexpected))
    return ", ".join(f"{day} is {what}" for what, days in parts for day in days)
