"""Goes through a drill: sends, breaks, waits, breaks again, audits, and keeps what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from ratchet.cli.output import CommandFailed
from ratchet.clock import SystemClock
from ratchet.kubectl.drills.definitions import Drill, Measure
from ratchet.kubectl.drills.faults import FAULTS
from ratchet.kubectl.drills.record import Record, Run
from ratchet.kubectl.drills.scene import Inconclusive, Scene, unsteady
from ratchet.kubectl.drills.sending import SenderPod, Tally, tally
from ratchet.kubectl.leading import row
from ratchet.kubectl.reading import VERIFY_SECONDS
from ratchet.kubectl.release import Release
from ratchet.kubectl.watching import Chronicle, watching

STEADY_SECONDS = 240.0
RECOVERY_SECONDS = 180.0
BEFORE_SECONDS = 1.0
"""What was sent so shortly before a fault may still feel it."""

NODE_DRILLS = ("drain-node", "cut-node")
LOAD = "load-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the person chose. rate: signals a second; 0 sends none. settle_seconds: from recovery to the next run."""

    runs: int = 1
    rate: float = 5.0
    settle_seconds: float = 5.0
    outage_seconds: float = 20.0
    fault_command: str | None = None
    note: str = ""


Say = Callable[[str], None]


class Drilling:
    """One drill of a release."""

    def __init__(self, drill: Drill, release: Release, options: Options, say: Say) -> None:
        self._drill = drill
        self._release = release
        self._options = options
        self._say = say
        self._clock = SystemClock()
        self._chronicle = Chronicle(self._clock)
        self._anchor: str | None = None
        self._windows: list[tuple[float, float]] = []
        self._runs: list[Run] = []

    def go(self, product: Mapping[str, Any]) -> Record:
        """Go through all runs and audit. product: what `ratchet status` told. Raises CommandFailed."""
        started = self._clock.now()
        versions = self._versions(product)
        lease = self._release.lease()
        lines: list[dict[str, Any]] | None = None
        audit: Sequence[Mapping[str, Any]] | None = None
        stopped = ""
        try:
            with ExitStack() as stack:
                sender = self._sender(product, stack)
                if self._release.lease_name is not None:
                    stack.enter_context(watching(self._release, self._chronicle))
                stopped = self._all_runs()
                self._steady()
                if sender is not None:
                    self._say("waiting for the end of every signal")
                    lines = sender.stop()
            self._say("running the invariants")
            audit = self._release.ask("verify", "--rows", "3", component="leader", seconds=VERIFY_SECONDS)
        except Inconclusive as why:
            stopped = stopped or str(why)
        except CommandFailed as failure:
            if not self._runs:
                raise
            stopped = stopped or str(failure)
        duration = lease.duration_seconds if lease is not None else 0
        return Record(
            drill=self._drill,
            release=self._release.name,
            namespace=self._release.namespace,
            started=started.isoformat(timespec="seconds"),
            finished=self._clock.now().isoformat(timespec="seconds"),
            versions=versions,
            lease_seconds=duration,
            limit_seconds=self._drill.limit_seconds(duration),
            wanted_runs=self._options.runs,
            rate=self._options.rate,
            runs=self._measured(lines),
            signals=None if lines is None else tally(lines),
            audit=audit,
            stopped=stopped,
            note=self._options.note,
        )

    def _all_runs(self) -> str:
        """Make the runs; return why they were ended early, if so."""
        for number in range(1, self._options.runs + 1):
            try:
                self._steady()
                self._one_run(number)
            except Inconclusive as why:
                return str(why)
            except CommandFailed as failure:
                return f"run {number}: {failure}"
            if not self._runs[-1].recovered:
                return f"run {number} did not recover"
        return ""

    def _steady(self) -> None:
        scene = Scene(release=self._release, chronicle=self._chronicle, clock=self._clock)
        if not self._chronicle.until(scene.steady, within_seconds=STEADY_SECONDS):
            raise Inconclusive(f"the release does not come to rest: {unsteady(self._release)}")

    def _one_run(self, number: int) -> None:
        scene = Scene(
            release=self._release,
            chronicle=self._chronicle,
            clock=self._clock,
            before=self._release.lease(),
            fault_command=self._options.fault_command,
            outage_seconds=self._options.outage_seconds,
            anchor=self._anchor,
        )
        entered = self._clock.monotonic()
        with FAULTS[self._drill.name](scene) as recovered:
            done = self._chronicle.until(recovered, within_seconds=RECOVERY_SECONDS)
            recovered_at = self._clock.monotonic()
        threading.Event().wait(self._options.settle_seconds)
        steady = self._chronicle.until(scene.steady, within_seconds=STEADY_SECONDS)
        steady_at = self._clock.monotonic()
        offset = self._clock.now().timestamp() - steady_at
        began_at = scene.fault_at if scene.began is None else scene.began.timestamp() - offset
        self._windows.append((began_at + offset - BEFORE_SECONDS, steady_at + offset))
        run = self._run(number, scene, entered, done and steady, recovered_at, steady_at)
        self._runs.append(run)
        took = f"{run.seconds:.2f} s" if run.seconds is not None else f"{recovered_at - scene.fault_at:.1f} s"
        self._say(f"run {number} of {self._options.runs}: {'recovered after ' + took if done else 'NOT RECOVERED'}")

    def _run(
        self, number: int, scene: Scene, entered: float, recovered: bool, recovered_at: float, steady_at: float
    ) -> Run:
        since = scene.fault_at
        lease, epoch = scene.before, None
        if lease is not None:
            seen = self._chronicle.since(since)
            held = next((m.at - since for m in seen if m.holder not in (None, "", lease.holder)), None)
            epoch = next((m.at - since for m in seen if m.epoch is not None and m.epoch > (lease.epoch or 0)), None)
        else:
            held = None
        takes_over = self._drill.measure is Measure.TAKEOVER
        return Run(
            number=number,
            began="" if scene.began is None else scene.began.isoformat(timespec="milliseconds"),
            recovered=recovered,
            seconds=_rounded(epoch) if takes_over else None,
            lease_seconds=_rounded(held),
            epoch_seconds=_rounded(epoch),
            steady_seconds=_rounded(steady_at - since),
            longest_wait_seconds=None,
            client_errors=None,
            timeline=[row(moment, since) for moment in self._chronicle.since(entered)],
            notes=scene.notes,
        )

    def _measured(self, lines: Sequence[Mapping[str, Any]] | None) -> list[Run]:
        """Return the runs with what senders felt around each."""
        if lines is None:
            return self._runs
        return [
            self._felt(
                run, tally([line for line in lines if line["at"] <= until and line["at"] + line["took"] >= since])
            )
            for run, (since, until) in zip(self._runs, self._windows, strict=True)
        ]

    def _felt(self, run: Run, felt: Tally) -> Run:
        waited = round(felt.longest_wait_seconds, 3)
        seconds = waited if self._drill.measure is Measure.WAIT else run.seconds
        return replace(run, seconds=seconds, longest_wait_seconds=waited, client_errors=felt.client_errors)

    def _sender(self, product: Mapping[str, Any], stack: ExitStack) -> SenderPod | None:
        if self._options.rate <= 0:
            return None
        names = [str(one["account"]) for one in product.get("portfolios", [])]
        accounts = [name for name in names if name.startswith(LOAD)] or names
        if self._drill.name in NODE_DRILLS:
            self._anchor = self._whole_node()
        sender = SenderPod(self._release, self._clock, accounts=accounts, rate=self._options.rate)
        self._say("starting the sender")
        stack.callback(sender.remove)
        sender.start(self._anchor)
        return sender

    def _whole_node(self) -> str:
        """Return the node for the sender: one that the drill will not touch."""
        for pod in self._release.pods("postgres", "simulator", "redis"):
            if pod.node and not pod.finished:
                return pod.node
        leaders = {pod.node for pod in self._release.pods("leader")}
        for pod in self._release.pods("signals"):
            if pod.node and pod.node not in leaders:
                return pod.node
        raise Inconclusive("the cluster has no node besides the leaders' from which signals could be sent meanwhile")

    def _versions(self, product: Mapping[str, Any]) -> dict[str, Any]:
        cluster = self._release.kube.json("version")
        return {
            "ratchet": product.get("health", {}).get("version"),
            "image": self._release.image,
            "kubernetes": cluster.get("serverVersion", {}).get("gitVersion"),
            "kubectl": cluster.get("clientVersion", {}).get("gitVersion"),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
