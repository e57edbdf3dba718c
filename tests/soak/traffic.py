"""The senders: they try until they are answered, send some signals twice, and remember what they were told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ratchet.domain.webhook import parse
from tests.harness import Client, Delivery, Unsent
from tests.soak.diary import Diary
from tests.soak.market import Market
from tests.soak.schedule import Planned

PATIENCE = 120.0
"""Seconds that a sender tries for: longer than any schedule on a busy machine, since all is healed in the end."""


class Traffic:
    """Sends what is planned. answered: what was accepted durably; broken: promises that were not kept."""

    def __init__(self, client: Client, market: Market, diary: Diary) -> None:
        self._client = client
        self._market = market
        self._diary = diary
        self.answered: list[Delivery] = []
        self.broken: list[dict[str, str]] = []

    async def send(self, signals: Iterable[Planned]) -> None:
        """Send all, each at its moment, and return when each has been answered."""
        async with asyncio.TaskGroup() as group:
            for signal in signals:
                group.create_task(self._send(signal))

    async def _send(self, signal: Planned) -> None:
        await asyncio.sleep(max(0.0, signal.at - self._diary.seconds))
        body = self._body(signal)
        first = await self._deliver(body, signal)
        if first is not None and signal.again is not None:
            await asyncio.sleep(signal.again)
            again = await self._deliver(body, signal)
            # one that was told of another signal's row, close to it, is stored if that one has ended by now
            if again is not None and again.id != first.id and first.duplicate != "window":
                self.broken.append({"twice": first.id, "stored_again_as": again.id})

    async def _deliver(self, body: bytes, signal: Planned) -> Delivery | None:
        try:
            delivery = await self._client.deliver_body(body, account=signal.account, within=PATIENCE)
        except Unsent as error:
            self.broken.append({"not_accepted": str(error)[:500], "message": body.decode()[:300]})
            return None
        self.answered.append(delivery)
        return delivery

    def _body(self, signal: Planned) -> bytes:
        stamp = datetime.now(UTC) + timedelta(seconds=signal.skew)
        fields = {"timestamp": stamp.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        if signal.position is not None:
            fields["position"] = signal.position
        body = self._market.message(signal.kind, signal.instrument, falls=signal.falls, **fields)
        parse(body)  # a mistake of ours is not a finding
        return body
