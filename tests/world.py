"""A whole Ratchet in one process for tests: a database, a simulated broker on loopback, and pods that execute.

The waits are those of the `test` preset. Everything goes through the real doors: the acceptor, HTTP to the broker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from ratchet.bootstrap import open_runtime
from ratchet.brokers.simulator.server import SimulatorServer
from ratchet.brokers.simulator.settings import SimulatorSettings
from ratchet.config import Settings, load_settings
from ratchet.domain.identity import AccountId, StrategyId
from ratchet.domain.orders import Intent
from ratchet.domain.positions import Layer
from ratchet.domain.signals import TERMINAL, Source
from ratchet.domain.webhook import parse
from ratchet.execution import reconcile
from ratchet.execution.pod import Pod
from ratchet.execution.submission import Receipt, Submission
from ratchet.persistence import control, intents, layers, money, signals
from ratchet.persistence.money import Purse
from ratchet.runtime import Runtime
from tests.messages import message
from tests.servers.waiting import eventually

API_KEY = "key-of-the-test-simulator"
ACCOUNT = "main"
PATIENCE = 20.0


@dataclass
class World:
    """What a test sees: send signals, wait for their ends, look at the books of both sides."""

    settings: Settings
    rt: Runtime
    pod: Pod
    simulator: SimulatorServer
    account: str

    async def send(self, kind: str, instrument: str = "GOLD_MINI", **fields: Any) -> Receipt:
        """Hand a signal in at the door, stamped now unless told otherwise."""
        parsed = parse(message(kind, instrument, **fields))
        return await self.pod.acceptor.accept(
            Submission(
                account=AccountId(fields.get("account", self.account)),
                strategy=StrategyId("default"),
                signal=parsed.signal,
                payload_hash=parsed.payload_hash,
                source=Source.API,
                request_id=uuid4().hex,
            )
        )

    async def row(self, signal_id: UUID) -> dict[str, Any]:
        """Return a signal's row."""
        async with self.rt.db.single(name="test") as tx:
            row = await signals.by_id(tx, signal_id)
        assert row is not None
        return dict(row)

    async def ended(self, signal_id: UUID, *, within: float = PATIENCE) -> dict[str, Any]:
        """Wait for a signal's end and return its row; a signal in review counts as ended."""
        ends = {str(status) for status in TERMINAL} | {"review"}

        async def over() -> bool:
            return (await self.row(signal_id))["status"] in ends

        await eventually(over, within=within)
        return await self.row(signal_id)

    async def executed(self, kind: str, instrument: str = "GOLD_MINI", **fields: Any) -> dict[str, Any]:
        """Send a signal and wait for its end."""
        receipt = await self.send(kind, instrument, **fields)
        return await self.ended(receipt.id)

    async def layers(self) -> list[Layer]:
        """Return the account's open layers."""
        async with self.rt.db.single(name="test") as tx:
            return await layers.live_of_account(tx, self.account)

    async def intents_of(self, row: dict[str, Any]) -> list[Intent]:
        """Return a signal's intents."""
        async with self.rt.db.single(name="test") as tx:
            return await intents.of_origin(tx, row["account"], row["fingerprint"])

    async def fault(self, *rules: dict[str, Any]) -> None:
        """Script faults of the broker, through its admin endpoint."""
        address = f"{self.simulator.url}/admin/faults"
        async with aiohttp.ClientSession() as http, http.post(address, json=list(rules)) as answer:
            assert answer.status == 200, await answer.text()

    async def purse(self) -> Purse:
        """Return the account's money."""
        async with self.rt.db.single(name="test") as tx:
            return await money.read(tx, self.account)


def settings_for(home: Path, database_url: str, simulator_url: str, **more: Any) -> Settings:
    """Return settings of the test preset for one database and one simulator."""
    return load_settings(
        home=home,
        preset="test",
        database_url=database_url,
        openalgo_url=simulator_url,
        openalgo_api_key=API_KEY,
        webhook_token="webhook-token-of-the-tests",
        api_token="api-token-of-the-tests-0001",
        **{"broker": {"kind": "simulator"}, **more},
    )


@asynccontextmanager
async def world(home: Path, database_url: str, **more: Any) -> AsyncIterator[World]:
    """Open a world on a migrated database; sending is open when it begins."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(
            SimulatorServer(SimulatorSettings(api_key=API_KEY, store_path=home / "broker.db", rate_limits=False))
        )
        settings = settings_for(home, database_url, simulator.url, **more)
        rt = await stack.enter_async_context(open_runtime(settings, role="service"))
        await rt.db.open()
        pod = await stack.enter_async_context(Pod(rt))
        account = sorted(rt.portfolio.accounts)[0]
        built = World(settings=settings, rt=rt, pod=pod, simulator=simulator, account=account)

        async def entered() -> bool:
            async with rt.db.single(name="test") as tx:
                return account in await money.accounts(tx)

        async def audited() -> bool:
            await reconcile.run(rt)  # on a busy machine the first read of the book may be too slow to count
            async with rt.db.single(name="test") as tx:
                return (await control.read(tx)).audited

        await eventually(entered, within=PATIENCE)
        await eventually(audited, within=PATIENCE)
        yield built


def stamp(seconds_ago: float = 0.0) -> str:
    """Return a UTC timestamp for a message."""
    return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
