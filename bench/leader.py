"""`python -m bench.leader`: what leading costs and how fast it changes hands, on a real API server.

KUBECONFIG names the cluster; Leases named `bench-...` are made in its namespace `default` and deleted. The epochs are
those of a PostgreSQL of our own. The times of the lease are those of the preset `fast`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from leader.announcing import Moment
from leader.database_lease import DatabaseFence, session_name
from leader.election import Times
from leader.elector import Elector
from leader.kubernetes_lease import KubernetesLease, connect
from leader.leadership import Leadership, LeadershipLost
from leader.lease import Record
from ratchet.clock import SystemClock
from ratchet.config.presets import FAST
from ratchet.persistence import events, leases, migrate
from ratchet.persistence.database import Database
from ratchet.persistence.errors import PersistenceError
from ratchet.persistence.options import DatabaseOptions
from ratchet.persistence.transaction import Transaction
from tests.servers.postgres import PostgresServer

_FAST = FAST["leader"]
TIMES = Times(
    lease_duration=int(_FAST["lease_duration_seconds"]),
    renew_deadline=_FAST["renew_deadline_seconds"],
    retry_period=_FAST["retry_period_seconds"],
    request_timeout=_FAST["request_timeout_seconds"],
)
TRIES = 1000
STREAM = "bench:leader"
PATIENCE = 60.0


class TimedLease(KubernetesLease):
    """Notes when it is given back."""

    released_at = 0.0

    async def replace(self, seen: Record, *, holder: str, duration_seconds: int, transitions: int) -> Record:
        """Write, and note the instant before the write that gives it back."""
        if not holder:
            TimedLease.released_at = time.perf_counter()
        return await super().replace(seen, holder=holder, duration_seconds=duration_seconds, transitions=transitions)


class Candidate:
    """One elector with connections of its own, whose calls are counted."""

    def __init__(self, name: str, db: Database, lease_name: str) -> None:
        self.name = name
        self.calls: Counter[str] = Counter()
        self.elected_at = 0.0
        self.epochs: list[int] = []
        self.leave = asyncio.Event()
        self._db = db
        self._lease_name = lease_name

    async def start(self) -> None:
        """Connect and stand by."""
        self.api = await connect(Path(os.environ["KUBECONFIG"]))
        self.api.configuration.trace_configs = [self._counting()]
        lease = TimedLease(
            self.api,
            SystemClock(),
            namespace="default",
            name=self._lease_name,
            request_timeout=TIMES.request_timeout,
            quiet=2 * TIMES.retry_period,
        )
        self.lease = lease
        self.elector = Elector(
            lease=lease,
            fence=DatabaseFence(self._db),
            identity=f"{self.name}_uid_1",
            times=TIMES,
            clock=SystemClock(),
            announce=self._told,
        )
        self.task = asyncio.create_task(self.elector.run(self._work))

    async def end(self) -> None:
        """End without a farewell."""
        self.task.cancel()
        await asyncio.wait([self.task])
        await self.lease.close()
        await self.api.close()  # type: ignore[no-untyped-call]

    @property
    def leads(self) -> bool:
        """Whether it leads."""
        return self.elector.standing.epoch is not None

    def _told(self, moment: Moment, sentence: str) -> None:
        if moment is Moment.LEADER_ELECTED:
            self.elected_at = time.perf_counter()

    async def _work(self, leadership: Leadership) -> None:
        self.epochs.append(leadership.epoch)
        self.leave.clear()
        await self.leave.wait()

    def _counting(self) -> aiohttp.TraceConfig:
        trace = aiohttp.TraceConfig()

        async def count(_: Any, __: Any, sent: aiohttp.TraceRequestStartParams) -> None:
            self.calls["WATCH" if "watch=" in str(sent.url) else sent.method] += 1

        trace.on_request_start.append(count)
        return trace


@asynccontextmanager
async def candidates(url: str, count: int) -> AsyncIterator[list[Candidate]]:
    """Run electors on one lease for the time of the block."""
    db = Database(DatabaseOptions(url=url))
    await db.open()
    name = f"bench-{uuid4().hex[:8]}"
    several = [Candidate(f"c{n}", db, name) for n in range(count)]
    for one in several:
        await one.start()
    try:
        await until(lambda: any(one.leads for one in several))
        yield several
    finally:
        for one in several:
            await one.end()
        await db.close()
        await remove(name)


async def remove(name: str) -> None:
    """Delete a lease."""
    api = await connect(Path(os.environ["KUBECONFIG"]))
    lease = KubernetesLease(api, SystemClock(), namespace="default", name=name, request_timeout=5.0, quiet=5.0)
    seen = await lease.get()
    if seen is not None:
        await lease.delete(seen)
    await api.close()  # type: ignore[no-untyped-call]


async def until(condition: Any) -> None:
    """Wait for it. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for is told by nobody
            await asyncio.sleep(0.002)


async def handovers(url: str, rounds: int) -> None:
    """From the write that gives the lease back to the next epoch."""
    took: list[float] = []
    async with candidates(url, 2) as both:
        for _ in range(rounds):
            first = next(one for one in both if one.leads)
            [other] = [one for one in both if one is not first]
            await until(lambda other=other: other.lease._watching is not None)
            first.leave.set()
            await until(lambda other=other: other.leads)
            took.append((other.elected_at - TimedLease.released_at) * 1000)
    report("clean handover, release to new epoch", took, "ms", limit=50.0, of="p50")


async def crashes(url: str, rounds: int) -> None:
    """From the death of a leader, of which nobody has a proof, to the next epoch."""
    took: list[float] = []
    for _ in range(rounds):
        async with candidates(url, 2) as both:
            first = next(one for one in both if one.leads)
            [other] = [one for one in both if one is not first]
            await until(lambda other=other: other.lease._watching is not None)
            died = time.perf_counter()
            first.task.cancel()
            await until(lambda other=other: other.leads)
            took.append(other.elected_at - died)
    report("crash to new epoch", took, "s", limit=TIMES.lease_duration + 1.0, of="max")


async def load(url: str, seconds: float) -> None:
    """Calls per renew period: one PUT of the leader, and one watch in all for each standby."""
    async with candidates(url, 3) as three:
        await asyncio.sleep(2 * TIMES.retry_period)
        for one in three:
            one.calls.clear()
        await asyncio.sleep(seconds)
        for one in three:
            role = "leader" if one.leads else "standby"
            per = {call: round(n * TIMES.retry_period / seconds, 2) for call, n in sorted(one.calls.items())}
            print(f"  load of a {role:8} calls per renew period ({TIMES.retry_period:g} s): {per or 'none'}")


async def frozen(url: str) -> None:
    """A leader that writes all the time is stopped past its lease and goes on: what does it still write?"""
    name = f"bench-{uuid4().hex[:8]}"
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.leader", "--writer", name, "--database", url, stdout=asyncio.subprocess.PIPE
    )
    db = Database(DatabaseOptions(url=url))
    await db.open()
    try:
        assert writer.stdout is not None
        async with asyncio.timeout(PATIENCE):
            old = int(await writer.stdout.readline())
        await asyncio.sleep(1.0)
        next_one = Candidate("next", db, name)
        writer.send_signal(signal.SIGSTOP)
        await next_one.start()
        await until(lambda: next_one.leads)
        before = await written(db, old)
        writer.send_signal(signal.SIGCONT)
        async with asyncio.timeout(PATIENCE):
            refused = int(await writer.stdout.readline())
        after = await written(db, old)
        print(
            f"  SIGSTOP past the lease, SIGCONT: {before} writes before; then {refused} tries, "
            f"{after - before} writes: {'ok' if after == before and refused == TRIES else 'MISSED'}"
        )
        await next_one.end()
    finally:
        with suppress(ProcessLookupError):
            writer.kill()
        await writer.wait()
        await db.close()
        await remove(name)


async def written(db: Database, epoch: int) -> int:
    """Count what was written under an epoch."""
    async with db.reading() as tx:
        return len(await events.data_of(tx, STREAM, f"epoch-{epoch}"))


async def write_for_ever(name: str, url: str) -> None:
    """Lead, and write under the first epoch again and again, deaf to every loss, until refused often enough."""
    # Named as a leader's: what it has in hand while it is frozen holds up the next leader's epoch, which cuts it off.
    db = Database(DatabaseOptions(url=url, application_name=session_name("frozen_uid_1")))
    await db.open()
    writer = Candidate("frozen", db, name)
    await writer.start()
    await until(lambda: writer.epochs)
    epoch = writer.epochs[0]
    print(epoch, flush=True)
    refused = 0

    async def work(tx: Transaction) -> None:
        if not await leases.check_epoch(tx, "leader", epoch):
            raise LeadershipLost
        await events.append(tx, stream=STREAM, kind=f"epoch-{epoch}", actor="writer", leader_epoch=epoch)

    while refused < TRIES:
        try:
            await db.run(work, name="bench")
            refused = 0
        except LeadershipLost:
            refused += 1
        except PersistenceError:
            continue  # what it had in hand was cut off while it was frozen
    print(refused, flush=True)
    await writer.end()
    await db.close()


def _migrate(url: str) -> None:
    migrate.up(url)


def report(what: str, took: list[float], unit: str, *, limit: float, of: str) -> None:
    """Print a row."""
    p50, worst = statistics.median(took), max(took)
    measured = p50 if of == "p50" else worst
    verdict = "ok" if measured <= limit else "MISSED"
    print(
        f"  {what}: p50 {p50:.1f} {unit}, max {worst:.1f} {unit} of {len(took)}; "
        f"wanted: {of} at most {limit:g} {unit}: {verdict}",
        flush=True,
    )


async def measure(url: str, *, quick: bool) -> None:
    """Measure all."""
    print(f"lease {TIMES.lease_duration} s, deadline {TIMES.renew_deadline:g} s, period {TIMES.retry_period:g} s")
    await handovers(url, 10 if quick else 50)
    await load(url, 10.0 if quick else 30.0)
    await crashes(url, 2 if quick else 5)
    await frozen(url)


def main() -> None:
    """Measure, or be the process that is frozen."""
    parser = argparse.ArgumentParser(prog="python -m bench.leader", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--writer", metavar="LEASE", help=argparse.SUPPRESS)
    parser.add_argument("--database", metavar="URL", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not os.environ.get("KUBECONFIG"):
        parser.error("KUBECONFIG names no cluster")
    if args.writer:
        asyncio.run(write_for_ever(args.writer, args.database))
        return
    with PostgresServer() as server:
        url = server.create_migrated_database(_migrate)
        asyncio.run(measure(url, quick=args.quick))


if __name__ == "__main__":
    main()
