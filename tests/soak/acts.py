"""Carries out what a schedule does to an installation, and starts again what dies, as an orchestrator would."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiohttp

from ratchet.execution.switch import Level, switch
from ratchet.persistence.errors import PersistenceError
from ratchet.runtime import Runtime
from tests.harness import Process, ProcessFailed
from tests.soak.api_server import Ways
from tests.soak.diary import Diary
from tests.soak.market import Market
from tests.soak.schedule import CHAOS_HANG, Act
from tests.soak.site import ForkedPlant

_RESTART_PAUSE = 0.1
_TRIES = 8


def _leads(leader: Process) -> bool:
    turns = ("leader_elected", "leadership_lost", "fenced_out", "lease_released")
    told = [one.get("event") for one in leader.events() if one.get("event") in turns]
    return told[-1:] == ["leader_elected"]


class Acts:
    """Hurts one plant. Acts on the same thing wait for each other; all else happens at its moment.

    ways: to the API server, where the leaders are elected there.
    """

    def __init__(
        self, plant: ForkedPlant, rt: Runtime, market: Market, diary: Diary, *, ways: Ways | None = None
    ) -> None:
        self._plant = plant
        self._rt = rt
        self._market = market
        self._diary = diary
        self._ways = ways
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._away: set[Process] = set()
        """Processes that are down on purpose."""

    async def play(self, acts: Iterable[Act]) -> None:
        """Carry out all acts, each at its moment."""
        async with asyncio.TaskGroup() as group:
            for act in acts:
                group.create_task(self._play(act), name=act.what)

    async def _play(self, act: Act) -> None:
        await asyncio.sleep(max(0.0, act.at - self._diary.seconds))
        self._diary.note(act.what, **act.detail)
        do: Callable[..., Awaitable[None]] = getattr(self, f"_{act.what}")
        try:
            await do(**act.detail)
        except (aiohttp.ClientError, TimeoutError, PersistenceError) as error:  # it may be down by another act
            self._diary.note(f"{act.what} had no effect", why=f"{type(error).__name__}: {error}"[:200])

    async def keep_running(self) -> None:
        """Start what has ended by itself again, until cancelled; armed failpoints belong to a first life."""
        plant = self._plant
        while True:
            for process in [*plant.services, *plant.leaders]:
                if not process.running and process not in self._away:
                    self._diary.note("started again", process=process.name, ended_with=process.code)
                    process.environment.pop("RATCHET_FAILPOINTS", None)
                    process.spawn()
            for process in [*plant.services, *plant.leaders]:
                await self._learn_port(process)
            await asyncio.sleep(_RESTART_PAUSE)

    async def heal(self) -> None:
        """Undo everything: servers run, the broker is calm, processes run and nobody is paused, sending is on."""
        self._diary.note("heal")
        if self._ways is not None:
            self._ways.mend()
        servers = self._plant.servers
        for server in (servers.postgres, servers.valkey):
            await asyncio.to_thread(server.thaw)
            if not server.running or not server.answers():
                await asyncio.to_thread(server.start)
        self._away.clear()
        for process in [*self._plant.services, *self._plant.leaders]:
            process.resume()
        if self._plant.simulator is not None and not self._plant.simulator.running:
            await self._plant.start_simulator()
        await self._until_done(self._calm)
        await self._until_done(self._switch_on)

    async def _calm(self) -> None:
        await self._plant.broker.calm()
        await self._plant.broker.admin("session", {"alive": True})
        await self._market.show(self._plant.broker)

    async def _switch_on(self) -> None:
        await switch(self._rt.db, Level.ON, reason="the soak has healed everything", by="soak")

    @staticmethod
    async def _until_done(work: Callable[[], Awaitable[None]]) -> None:
        """Try a few times: what was hurt may need a moment."""
        for left in reversed(range(_TRIES)):
            try:
                return await work()
            except (aiohttp.ClientError, TimeoutError, PersistenceError):
                if left == 0:
                    raise
                await asyncio.sleep(0.3)

    async def _learn_port(self, process: Process) -> None:
        if process.running and process.port is None and process not in self._away:
            try:
                await process.listening(within=0.05)
            except ProcessFailed:
                return

    async def _market_rises(self, instrument: str) -> None:
        await self._market.rise(self._plant.broker, instrument)

    # services and leaders

    async def _kill_service(self, which: int, seconds: float) -> None:
        await self._down(self._one_of(self._plant.services, which), seconds, Process.kill)

    async def _kill_leader(self, which: int, seconds: float) -> None:
        await self._down(self._one_of(self._plant.leaders, which), seconds, Process.kill)

    async def _drain_service(self, which: int, seconds: float) -> None:
        await self._drain(self._one_of(self._plant.services, which), seconds)

    async def _drain_leader(self, which: int, seconds: float) -> None:
        await self._drain(self._one_of(self._plant.leaders, which), seconds)

    async def _pause_service(self, which: int, seconds: float) -> None:
        await self._pause(self._one_of(self._plant.services, which), seconds)

    async def _pause_leader(self, which: int, seconds: float) -> None:
        await self._pause(self._one_of(self._plant.leaders, which), seconds)

    async def _freeze_leader(self, which: int, seconds: float) -> None:
        """Freeze whoever leads, as far as its log tells, until long after its lease."""
        await self._pause(self._one_of(self.leading or self._plant.leaders, which), seconds)

    @property
    def leading(self) -> list[Process]:
        """Whoever leads, as far as the logs tell."""
        return [leader for leader in self._plant.leaders if leader.running and _leads(leader)]

    async def _lose_lease(self, which: int, seconds: float) -> None:
        """Nobody can read or write the lease; then whoever waits for it is cut off."""
        async with self._locks["postgres"]:
            await asyncio.to_thread(self._plant.servers.postgres.lock_table, self._plant.database_url, "lease", seconds)

    async def _lose_api(self, which: int, seconds: float, how: str, everyone: bool) -> None:
        """The API server hangs or refuses, for everyone or for whoever leads, until long after the Lease."""
        assert self._ways is not None
        async with self._locks["api"]:
            everybody = self._plant.leaders
            leaders = everybody if everyone else [self._one_of(self.leading or everybody, which)]
            lost = [self._ways.ways[everybody.index(leader)] for leader in leaders]
            self._diary.note("the API server is lost", how=how, leaders=[leader.name for leader in leaders])
            for way in lost:
                await way.lose(how)
            await asyncio.sleep(seconds)
            for way in lost:
                way.mend()

    async def _scale_up(self, which: int, seconds: float) -> None:
        """Start one more service, and after a while take it away for good."""
        more = self._plant.new_service()
        more.spawn()
        await asyncio.sleep(1.0 + seconds)
        self._away.add(more)
        await self._end(more)
        self._plant.services.remove(more)

    async def _down(self, process: Process, seconds: float, end: Callable[[Process], None]) -> None:
        async with self._locks[process.name]:
            self._away.add(process)
            await asyncio.to_thread(end, process)
            await asyncio.sleep(seconds)
            self._away.discard(process)

    async def _drain(self, process: Process, seconds: float) -> None:
        async with self._locks[process.name]:
            self._away.add(process)
            await self._end(process)
            await asyncio.sleep(seconds)
            self._away.discard(process)

    async def _end(self, process: Process) -> None:
        try:
            code = await process.stop()
            self._diary.note("ended in order", process=process.name, code=code)
        except ProcessFailed:
            self._diary.note("did not end in order", process=process.name)

    async def _pause(self, process: Process, seconds: float) -> None:
        async with self._locks[process.name]:
            process.pause()
            await asyncio.sleep(seconds)
            process.resume()

    @staticmethod
    def _one_of(processes: list[Process], which: int) -> Process:
        return processes[which % len(processes)]

    # PostgreSQL and Redis

    async def _cut_connections(self, **_: Any) -> None:
        async with self._locks["postgres"]:
            await asyncio.to_thread(self._plant.servers.postgres.cut_connections)

    async def _restart_postgres(self, which: int, seconds: float) -> None:
        server = self._plant.servers.postgres
        async with self._locks["postgres"]:
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(seconds / 2)
            await asyncio.to_thread(server.start)

    async def _kill_postgres(self, which: int, seconds: float) -> None:
        server = self._plant.servers.postgres
        async with self._locks["postgres"]:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

    async def _freeze_postgres(self, which: int, seconds: float) -> None:
        server = self._plant.servers.postgres
        async with self._locks["postgres"]:
            await asyncio.to_thread(server.freeze)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(server.thaw)

    async def _restart_redis(self, which: int, seconds: float) -> None:
        server = self._plant.servers.valkey
        async with self._locks["redis"]:
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(server.start)

    async def _empty_redis(self, **_: Any) -> None:
        async with self._locks["redis"]:
            await asyncio.to_thread(self._plant.servers.valkey.flush)

    async def _freeze_redis(self, which: int, seconds: float) -> None:
        server = self._plant.servers.valkey
        async with self._locks["redis"]:
            await asyncio.to_thread(server.freeze)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(server.thaw)

    # the broker, and people

    async def _broker_chaos(self, seed: int, rates: dict[str, float], seconds: float) -> None:
        await self._plant.broker.chaos(seed, rates, max_hang_seconds=CHAOS_HANG)
        await asyncio.sleep(seconds)
        await self._plant.broker.chaos(seed, {})

    async def _broker_rule(self, fault: str, **fields: Any) -> None:
        await self._plant.broker.fault(fault, **fields)

    async def _restart_broker(self, which: int, seconds: float) -> None:
        simulator = self._plant.simulator
        assert simulator is not None
        async with self._locks["broker"]:
            await asyncio.to_thread(simulator.kill)
            await asyncio.sleep(seconds)
            await self._plant.start_simulator()
            await self._market.show(self._plant.broker)

    async def _lose_session(self, which: int, seconds: float) -> None:
        """The broker's session dies and is renewed; somebody sees it and switches sending on again."""
        async with self._locks["switch"]:
            await self._plant.broker.admin("session", {"alive": False})
            await asyncio.sleep(seconds)
            await self._plant.broker.admin("session", {"alive": True})
            await switch(self._rt.db, Level.ON, reason="the session is there again", by="soak")

    async def _entries_off(self, which: int, seconds: float) -> None:
        async with self._locks["switch"]:
            await switch(self._rt.db, Level.ENTRIES_OFF, reason="somebody is careful", by="soak")
            await asyncio.sleep(seconds)
            await switch(self._rt.db, Level.ON, reason="somebody is reassured", by="soak")

    async def _foreign_twin(self, account: str, instrument: str, side: str) -> None:
        """Somebody places an order by hand that looks like one of ours."""
        book = await self._plant.broker.book()
        suffix = "" if account == "main" else account
        base = {"GOLD_MINI": "GOLDM", "SILVER_MINI": "SILVERM", "COPPER": "COPPER"}[instrument]
        ours = [order for order in book["orders"] if order["symbol"].startswith(base) and order["origin"] != "foreign"]
        if not ours:
            self._diary.note("no order to imitate")
            return
        like = next((order for order in ours if order["account"] == suffix), ours[0])
        order = {name: like[name] for name in ("symbol", "exchange", "product")}
        order |= {"account": suffix, "action": side, "quantity": str(like["quantity"]), "pricetype": "MARKET"}
        await self._plant.broker.admin("foreign-order", order)
