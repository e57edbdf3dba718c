"""What rolls, as seen from outside: followed in the database while this process leads, told, and shown.

Decides nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from leader.announcing import Announce, Moment
from leader.leadership import Leadership
from leader.standing import Standing
from ratchet.domain.calendar import IST, TradingCalendar
from ratchet.domain.expiries import roll_due
from ratchet.domain.rollover import RolloverStatus
from ratchet.persistence import rollovers
from ratchet.persistence.errors import PersistenceError
from ratchet.persistence.statements import Row
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

AHEAD = timedelta(days=400)
"""Expiries further away say nothing about the next rollover."""

_UNDER_WAY = frozenset({RolloverStatus.PENDING, RolloverStatus.IN_PROGRESS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """One roll. contract: that it leaves; expiry: its expiry, known as long as the layer is in it."""

    id: UUID
    account: str
    instrument: str
    layer: str
    contract: str
    expiry: date
    state: RolloverStatus

    def __str__(self) -> str:
        return f"{self.layer} of {self.instrument} in {self.account} out of {self.contract}"


Show = Callable[[Mapping[str, Roll], Leadership], Awaitable[None]]
"""Shows the rolls under way, by the name `rollover-<instrument>-<expiry>`; as well as it can."""


def name_of(roll: Roll) -> str:
    """Return what a roll's mark is called."""
    return f"rollover-{roll.instrument.lower().replace('_', '-')}-{roll.expiry.isoformat()}"


def moments(before: RolloverStatus | None, now: RolloverStatus) -> list[Moment]:
    """Return what happened between two looks; before: None for a roll that was not there."""
    if before is now or now in (RolloverStatus.NONE, RolloverStatus.PENDING):
        return []
    told = []
    if before in (None, RolloverStatus.NONE, RolloverStatus.PENDING):
        told.append(Moment.ROLLOVER_STARTED)
    if now is RolloverStatus.ROLLED:
        told.append(Moment.ROLLOVER_COMPLETED)
    if now is RolloverStatus.FAILED:
        told.append(Moment.ROLLOVER_FAILED)
    return told


class Rolls:
    """Looks at the rolls every `retry_period_seconds`."""

    def __init__(self, rt: Runtime, announce: Announce, standing: Standing, show: Show) -> None:
        self._rt = rt
        self._announce = announce
        self._standing = standing
        self._show = show
        self._states: dict[UUID, RolloverStatus] = {}

    async def run(self, leadership: Leadership) -> None:
        """Follow them until cancelled."""
        since: datetime | None = None
        self._states = {}
        while True:
            try:
                if since is None:
                    since = await self._begin()
                else:
                    await self._look(since, leadership)
            except PersistenceError as error:
                log.debug("rolls are not seen", extra={"event": "rolls_unseen", "error": str(error)})
            await self._rt.clock.sleep(self._rt.settings.leader.retry_period_seconds)

    async def _begin(self) -> datetime:
        """Take what an earlier leader left as told already; return since when."""
        async with self._rt.db.transaction(name="rolls-left") as tx:
            since = await tx.now()
            rows = await rollovers.watched(tx, since=since)
        self._states = {row["id"]: RolloverStatus(row["state"]) for row in rows}
        return since

    async def _look(self, since: datetime, leadership: Leadership) -> None:
        async with self._rt.db.transaction(name="rolls-watched") as tx:
            seen = [_roll(row) for row in await rollovers.watched(tx, since=since)]
            gone = self._states.keys() - {roll.id for roll in seen}
            ended = {key: (await rollovers.get(tx, key)).state for key in gone}
            self._standing.next_rollover = await self._next(tx)
        for roll in seen:
            self._tell(roll.id, str(roll), roll.state)
        for key, state in ended.items():
            self._tell(key, f"the rollover {key}", state)
            self._states.pop(key)
        await self._show({name_of(roll): roll for roll in seen if roll.state in _UNDER_WAY}, leadership)

    def _tell(self, key: UUID, what: str, state: RolloverStatus) -> None:
        for moment in moments(self._states.get(key), state):
            self._announce(moment, what)
            if moment is Moment.ROLLOVER_COMPLETED:
                self._standing.last_rollover = self._rt.clock.now()
        self._states[key] = state

    async def _next(self, tx: Transaction) -> date | None:
        """Return the first day on which an open layer has to leave its contract."""
        today = self._rt.clock.now().astimezone(IST).date()
        calendar = TradingCalendar()
        days = [
            _first_day(row, today, self._rt, calendar)
            for account in self._rt.portfolio.accounts
            for row in await rollovers.expiring(tx, str(account), before=today + AHEAD)
            if row["instrument"] in self._rt.portfolio.instruments
        ]
        return min(days, default=None)


def _first_day(row: Row, today: date, rt: Runtime, calendar: TradingCalendar) -> date:
    day: date = today
    while day < row["expiry"] and not roll_due(row["expiry"], day, rt.instrument(row["instrument"]), calendar):
        day += timedelta(days=1)
    return day


def _roll(row: Row) -> Roll:
    return Roll(
        id=row["id"],
        account=row["account"],
        instrument=row["instrument"],
        layer=row["layer"],
        contract=row["old_contract"],
        expiry=row["expiry"],
        state=RolloverStatus(row["state"]),
    )
