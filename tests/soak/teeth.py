"""Short schedules of their own, each of which a whole build survives and one broken build does not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import select

from ratchet.broken import Broken
from ratchet.execution import reconcile
from ratchet.persistence.tables import positions, signal_log
from ratchet.runtime import Runtime
from tests.harness import Process
from tests.servers.waiting import eventually
from tests.soak import verdict
from tests.soak.market import Market
from tests.soak.site import ForkedPlant, Servers, site

_FUTURES = ("GOLD_MINI", "SILVER_MINI", "COPPER")
_REST_SECONDS = 12.0
_ROLL_SECONDS = 15.0
_STRANGERS = 8
_STRANGERS_APART = 0.4


@dataclass(frozen=True, slots=True)
class Scene:
    """One plant, of a whole or of a broken build, and what the seed chose."""

    plant: ForkedPlant
    rt: Runtime
    build: str
    instrument: str
    market: Market

    async def service(self, failpoints: str = "") -> Process:
        """Start a service of the build."""
        return await self.plant.start_service(failpoints=failpoints, broken_build=self.build)

    async def leader(self, failpoints: str = "", settings: Mapping[str, str] | None = None) -> Process:
        """Start a leader of the build, by whose rules every layer has to leave its contract, and see it lead."""
        due = {"PORTFOLIO_FILE": str(self.plant.rolling_portfolio)}
        leader = self.plant.new_leader(
            failpoints=failpoints, broken_build=self.build, settings={**due, **(settings or {})}
        )
        leader.spawn()
        await eventually(lambda: any(one.get("event") == "leader_elected" for one in leader.events()), within=15.0)
        return leader

    async def send(self, kind: str, *, account: str | None = None, instrument: str | None = None, **fields: Any) -> str:
        """Have a signal accepted and return its id."""
        body = self.market.message(kind, instrument or self.instrument, **fields)
        return (await self.plant.client.deliver_body(body, account=account)).id

    async def executed(self, kind: str, **fields: Any) -> None:
        """Send a signal and see it executed."""
        signal = await self.send(kind, **fields)
        await eventually(lambda: self._is(signal, "executed"), within=10.0)

    async def rolled(self) -> None:
        """Give the leaders time until a layer is in its new contract; what has come of it is asked afterwards."""
        query = select(positions.c.rollover_count)

        async def over() -> bool:
            async with self.rt.db.single(name="teeth") as tx:
                return all(row["rollover_count"] for row in await tx.all(query))

        with suppress(AssertionError):
            await eventually(over, within=_ROLL_SECONDS)

    async def rise(self) -> None:
        """Let the price rise, so that a pyramid is allowed."""
        await self.market.rise(self.plant.broker, self.instrument)

    async def processed(self, signal: str) -> bool:
        """Tell whether a worker has claimed the signal."""
        return (await self._row(signal))["processed_at"] is not None

    async def _is(self, signal: str, status: str) -> bool:
        return bool((await self._row(signal))["status"] == status)

    async def _row(self, signal: str) -> Mapping[str, Any]:
        async with self.rt.db.single(name="teeth") as tx:
            rows = await tx.all(select(signal_log))
        return next(row for row in rows if str(row["id"]) == signal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tooth:
    """How a missing safeguard is made to matter. settings: of all processes, as RATCHET_ variables.

    rolls: every layer has to leave its contract in it.
    """

    provoke: Callable[[Scene], Awaitable[None]]
    settings: Mapping[str, str] = field(default_factory=dict)
    load_accounts: int = 0
    rolls: bool = False


async def bite(servers: Servers, folder: Path, tooth: Broken, seed: int, *, broken: bool) -> list[verdict.Finding]:
    """Play a tooth's schedule with the build that it is for, or with a whole one; return the violations."""
    chosen = TEETH[tooth]
    instrument = random.Random(seed).choice(_FUTURES)
    async with site(servers, folder, redis=False, load_accounts=chosen.load_accounts, settings=chosen.settings) as (
        plant,
        rt,
    ):
        await plant.open_sending()
        scene = Scene(plant, rt, str(tooth) if broken else "", instrument, Market())
        await chosen.provoke(scene)
        unfinished = await verdict.at_rest(rt, within=_REST_SECONDS, rolls=chosen.rolls)
        await reconcile.run(rt)
        found = verdict.finding("I3", "every signal and roll ends, or is held by a person who was told", unfinished)
        return found + await verdict.audit(rt, within=0.0 if broken else verdict.SETTLE_SECONDS)


async def _dies_after_its_post(scene: Scene) -> None:
    """The broker has the order, and nothing is recorded of its answer."""
    service = await scene.service("K10:kill")
    await scene.send("BASE_ENTRY")
    await service.gone()
    await scene.service()


async def _stalls_while_another_sends(scene: Scene) -> None:
    """The first sender stalls before its permission; another one takes over, and its call hangs as the first wakes."""
    stalled = await scene.service("K6:pause:1.9")
    await scene.plant.broker.fault("accept_then_hang", seconds=1.4)
    await scene.send("BASE_ENTRY")
    await eventually(lambda: scene.plant.fired(stalled))
    await scene.service()


async def _closes_two_layers_at_once(scene: Scene) -> None:
    """Two exits sell the same contract while the broker is slow."""
    await scene.service()
    await scene.executed("BASE_ENTRY")
    await scene.rise()
    await scene.executed("PYRAMID", position="Long_2")
    await scene.plant.broker.fault("accept_then_hang", seconds=1.0, times=2)
    async with asyncio.TaskGroup() as group:
        for layer in ("Long_1", "Long_2"):
            group.create_task(scene.send("EXIT", position=layer))


async def _loses_the_post(scene: Scene) -> None:
    """The connection breaks before the broker has read anything."""
    await scene.service()
    await scene.plant.broker.fault("cut_before")
    await scene.send("BASE_ENTRY")


async def _exits_while_an_entry_waits(scene: Scene) -> None:
    """A row that somebody else holds makes the pyramid's permission wait, after the lane was read; an exit arrives."""
    await scene.service()
    await scene.executed("BASE_ENTRY")
    await scene.rise()
    with psycopg.connect(scene.plant.database_url) as holder:
        holder.execute("SELECT account FROM order_budget WHERE account = 'main' FOR UPDATE")
        await scene.send("PYRAMID", position="Long_2")
        await eventually(lambda: _somebody_waits(holder))
        exit_ = asyncio.create_task(scene.send("EXIT", position="ALL"))
        # whole builds let the exit wait for the lane
        await asyncio.wait([exit_], timeout=0.8)
        if exit_.done():
            await eventually(lambda: scene.processed(exit_.result()))
        holder.rollback()
    await exit_


def _somebody_waits(holder: psycopg.Connection[Any]) -> bool:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    row = holder.execute(sql).fetchone()
    return row is not None and row[0] > 0


async def _finds_an_older_twin(scene: Scene) -> None:
    """By hand, somebody has just placed what we are about to place; our own order is lost on its way."""
    await scene.service()
    await scene.executed("BASE_ENTRY", account="load-01")
    (like,) = (await scene.plant.broker.book())["orders"]
    twin = {name: like[name] for name in ("symbol", "exchange", "product")}
    twin |= {"account": "", "action": "BUY", "quantity": str(like["quantity"]), "pricetype": "MARKET"}
    await scene.plant.broker.admin("foreign-order", twin)
    await scene.plant.broker.fault("cut_before")
    await scene.send("BASE_ENTRY")


async def _is_followed_without_notice(scene: Scene) -> None:
    """Somebody deletes the lease; another one leads by a new one, before the first has looked at it again."""
    await scene.service()
    await scene.executed("BASE_ENTRY")
    patient = {"LEASE_DURATION": "24", "RENEW_DEADLINE": "15", "RETRY_PERIOD": "5"}
    first = await scene.leader(settings={f"LEADER__{name}_SECONDS": value for name, value in patient.items()})
    with psycopg.connect(scene.plant.database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM lease")
    await scene.leader()
    like = (await scene.plant.broker.book())["orders"][0]
    for number in range(_STRANGERS):  # each of them is written down by one of the two, whoever looks first
        stranger = {name: like[name] for name in ("symbol", "exchange", "product")}
        stranger |= {"account": "", "action": ("BUY", "SELL")[number % 2], "quantity": str(like["quantity"])}
        await scene.plant.broker.admin("foreign-order", {**stranger, "pricetype": "MARKET"})
        await asyncio.sleep(_STRANGERS_APART)
    first.kill()


async def _dies_between_two_legs(scene: Scene) -> None:
    """A leader dies when one leg of a synthetic future has left its contract; the next one finds the layer due."""
    await scene.service()
    await scene.executed("BASE_ENTRY", instrument="BANK_NIFTY")
    first = await scene.leader("K17:kill:2")
    await first.gone(within=15.0)
    await scene.leader()
    await scene.rolled()


TEETH: Mapping[Broken, Tooth] = {
    Broken.NO_INTENT: Tooth(provoke=_dies_after_its_post),
    Broken.NO_COMPARE_AND_SET: Tooth(provoke=_stalls_while_another_sends),
    Broken.NO_SLOT: Tooth(provoke=_closes_two_layers_at_once),
    Broken.RESEND_AFTER_ABSENCE: Tooth(provoke=_loses_the_post),
    Broken.NO_LANE_LOCK: Tooth(
        provoke=_exits_while_an_entry_waits,
        settings={
            "EXECUTION__CLAIM_LEASE_SECONDS": "6",
            "EXECUTION__LEASE_LEFT_TO_SEND_SECONDS": "3",
            "BROKER__SEND_WINDOW_SECONDS": "2.5",
        },
    ),
    Broken.NO_BASELINE: Tooth(provoke=_finds_an_older_twin, load_accounts=1),
    Broken.NO_FENCE: Tooth(provoke=_is_followed_without_notice),
    Broken.NO_ROLLOVER_CLAIM: Tooth(provoke=_dies_between_two_legs, rolls=True),
}
