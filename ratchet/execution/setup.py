"""The rows that every account needs before its first signal: its purse with the initial capital, and its lanes."""

from __future__ import annotations

from ratchet.broken import Broken, is_broken
from ratchet.persistence import lanes, money, rollovers
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime


async def ensure_accounts(rt: Runtime) -> None:
    """Make what is missing, once, however many processes start together. Raises PersistenceError."""

    async def work(tx: Transaction) -> None:
        known = set(await money.accounts(tx))
        whole = set(await lanes.accounts_with(tx, len(rt.portfolio.instruments)))
        for account in sorted(rt.portfolio.accounts.values(), key=lambda a: a.id):
            if account.id not in known:
                await money.ensure(tx, account.id, account.initial_capital)
            if account.id not in whole:
                await lanes.ensure(tx, account.id, rt.portfolio.instruments)
        if is_broken(Broken.NO_SLOT):
            await lanes.drop_slot_index(tx)
        if is_broken(Broken.NO_ROLLOVER_CLAIM):
            await rollovers.drop_unfinished_index(tx)

    await rt.db.run(work, name="setup")
