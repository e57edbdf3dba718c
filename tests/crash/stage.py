"""Where a case plays: a fresh database and a simulated broker in this process; pods here, and victims elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from ratchet.bootstrap import open_runtime
from ratchet.brokers.simulator import SimulatorServer, SimulatorSettings
from ratchet.domain.identity import AccountId, StrategyId
from ratchet.domain.positions import Layer
from ratchet.domain.signals import Source
from ratchet.domain.webhook import parse
from ratchet.execution.pod import Pod
from ratchet.execution.submission import NotDurable, Receipt, Submission
from ratchet.persistence import layers, signals
from ratchet.runtime import Runtime
from tests.harness import Plant
from tests.harness.client import ENDS
from tests.harness.plant import API_KEY
from tests.servers.waiting import eventually

ACCOUNT = "main"
PATIENCE = 25.0


@dataclass(frozen=True, slots=True)
class Stand:
    """A pod of this process, and its runtime."""

    rt: Runtime
    pod: Pod

    async def hand_in(self, body: bytes) -> Receipt:
        """Hand a message in until it is durably accepted, as a sender does that is told 503."""
        parsed = parse(body)
        submission = Submission(
            account=AccountId(ACCOUNT),
            strategy=StrategyId("trend"),
            signal=parsed.signal,
            payload_hash=parsed.payload_hash,
            source=Source.WEBHOOK,
            request_id=uuid4().hex,
        )

        async def accepted() -> Receipt | None:
            try:
                return await self.pod.acceptor.accept(submission)
            except NotDurable:
                return None

        receipt = await eventually(accepted)
        assert receipt is not None
        return receipt

    async def ended(self, signal_id: UUID, *, within: float = PATIENCE) -> dict[str, Any]:
        """Wait for a signal's end (a review counts) and return its row."""
        seen: dict[str, Any] = {}

        async def over() -> bool:
            async with self.rt.db.single(name="test") as tx:
                seen.update(await signals.by_id(tx, signal_id) or {})
            return str(seen["status"]) in ENDS

        try:
            await eventually(over, within=within)
        except AssertionError:
            raise AssertionError(f"the signal has not ended within {within} s: {seen}") from None
        return seen

    async def executed(self, body: bytes) -> None:
        """Hand a message in and see it executed."""
        row = await self.ended((await self.hand_in(body)).id)
        assert row["status"] == "executed", row

    async def layers(self) -> list[Layer]:
        """Return the open layers."""
        async with self.rt.db.single(name="test") as tx:
            return await layers.live_of_account(tx, ACCOUNT)


class Stage:
    """A database, a broker, and a plant to start victims from."""

    def __init__(self, plant: Plant, simulator: SimulatorServer) -> None:
        self.plant = plant
        self.simulator = simulator

    @asynccontextmanager
    async def stand(self) -> AsyncIterator[Stand]:
        """Run a pod in this process for the time of the block; leaving it drains."""
        async with open_runtime(self.plant.loaded(), role="service") as rt:
            await rt.db.open()
            pod = Pod(rt)
            async with pod:
                yield Stand(rt, pod)

    async def price(self, underlying: str, last: int, *, bid: int | None = None, ask: int | None = None) -> None:
        """Set the market of an underlying; bid and ask are a tick away unless given."""
        quote = {"underlying": underlying, "ltp": last, "bid": bid, "ask": ask}
        await self.plant.broker.admin("quotes", {name: value for name, value in quote.items() if value is not None})


@asynccontextmanager
async def stage(folder: Path, database_url: str) -> AsyncIterator[Stage]:
    """Open a stage on a migrated database; sending is open."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(
            SimulatorServer(SimulatorSettings(api_key=API_KEY, store_path=folder / "broker.db", rate_limits=False))
        )
        plant = await stack.enter_async_context(Plant(folder / "plant", database_url=database_url))
        plant.use_simulator(simulator.url)
        await plant.open_sending()
        yield Stage(plant, simulator)
