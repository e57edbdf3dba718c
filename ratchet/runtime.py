"""What a use case is handed: settings, portfolio, clock, database, brokers, hints; `ratchet.bootstrap` builds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ratchet.brokers.base import Broker
from ratchet.clock import Clock
from ratchet.config import Settings
from ratchet.coordination.base import Hints
from ratchet.domain.identity import AccountId
from ratchet.domain.instruments import Instrument, Portfolio
from ratchet.persistence.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The means of one process. boot_id: new at each process start; it names the process in claims and sends.

    lock_file: held by the process since its start, so that its death can be proven on the same host.
    """

    settings: Settings
    portfolio: Portfolio
    clock: Clock
    db: Database
    hints: Hints
    brokers: Mapping[str, Broker]
    boot_id: str
    lock_file: Path | None = field(default=None)

    def broker(self, account: AccountId | str) -> Broker:
        """Return the account's broker. Raises KeyError for an account that the portfolio does not name."""
        return self.brokers[str(account)]

    def instrument(self, name: str) -> Instrument:
        """Return an instrument of the portfolio. Raises KeyError for one that it does not name."""
        return self.portfolio.instruments[name]
