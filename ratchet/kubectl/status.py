"""`kubectl ratchet status`: one screen of 80 columns."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.clock import SystemClock
from ratchet.kubectl.main import release_of
from ratchet.kubectl.release import Lease, Pod, Release

EXAMPLES = """\
examples:
  kubectl ratchet status -n trading                 one screen
  kubectl ratchet status -n trading -w              again every two seconds, until Ctrl-C
  kubectl ratchet status -o json | jq .leader.epoch

Ends with 1 if nobody leads, a pod is not ready, sending is stopped, or an incident or a review waits for a person."""

REFRESH_SECONDS = 2.0
WIDTH = 80
_CLEAR = "\x1b[H\x1b[2J"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("-w", "--watch", action="store_true", help="show it again every two seconds")


def run(args: argparse.Namespace, out: Output) -> Exit:
    """Print it, once or until stopped."""
    clock = SystemClock()
    while True:
        found = gather(release_of(args), clock.now())
        if args.watch and out.interactive:
            print(_CLEAR, end="")
        if out.as_json:
            out.data(found)
        else:
            for line in screen(found):
                out.line(line)
        if not args.watch:
            return Exit.OK if not found["trouble"] else Exit.FOUND
        threading.Event().wait(REFRESH_SECONDS)


def gather(release: Release, now: datetime) -> dict[str, Any]:
    """Return everything that is shown. What no pod can be asked is told as trouble, the rest is shown all the same."""
    pods = release.pods()
    lease = release.lease()
    try:
        product: dict[str, Any] = release.ask("status")
        unasked = None
    except CommandFailed as failure:
        product, unasked = {}, str(failure)
    health = product.get("health", {})
    found: dict[str, Any] = {
        "release": release.name,
        "namespace": release.namespace,
        "version": health.get("version"),
        "image": release.image,
        "at": now.isoformat(timespec="seconds"),
        "leader": _leader(release, lease, pods, health, now),
        "queue": product.get("queue"),
        "open_incidents": None if unasked else len(product.get("open_incidents", [])),
        "sending": health.get("sending"),
        "broker": health.get("broker"),
        "database": health.get("database"),
        "redis": health.get("redis"),
        "pods": [_row(pod, now) for pod in pods if not pod.finished],
    }
    found["trouble"] = list(_trouble(found, unasked))
    return found


def _leader(
    release: Release, lease: Lease | None, pods: Sequence[Pod], health: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    if release.lease_name is None:
        known = (health.get("leadership") or {}).get("leader") or {}
        return {"kept_in": "database", "holder": known.get("holder") or None, "epoch": known.get("epoch")}
    if lease is None:
        return {"kept_in": "lease", "lease": release.lease_name, "holder": None, "epoch": None}
    on = next((pod.node for pod in pods if pod.name == lease.pod), None)
    return {
        "kept_in": "lease",
        "lease": release.lease_name,
        "holder": lease.holder or None,
        "pod": lease.pod or None,
        "node": on,
        "epoch": lease.epoch,
        "transitions": lease.transitions,
        "lease_seconds": lease.duration_seconds,
        "lease_age_seconds": age_seconds(lease.renewed, now),
    }


def age_seconds(instant: str, now: datetime) -> float | None:
    """Return how long ago an instant of the cluster was, by this machine's clock; never less than nothing."""
    if not instant:
        return None
    return max(0.0, round((now - datetime.fromisoformat(instant).astimezone(UTC)).total_seconds(), 1))


def _row(pod: Pod, now: datetime) -> dict[str, Any]:
    created = age_seconds(str(pod.raw["metadata"].get("creationTimestamp", "")), now)
    return {
        "pod": pod.name,
        "component": pod.component,
        "ready": pod.ready,
        "state": pod.state,
        "restarts": pod.restarts,
        "age_seconds": created,
        "node": pod.node,
    }


def _trouble(found: Mapping[str, Any], unasked: str | None) -> Iterator[str]:
    if unasked:
        yield unasked
    leader = found["leader"]
    if not leader["holder"]:
        missing = leader["kept_in"] == "lease" and "pod" not in leader
        yield f"the lease {leader['lease']} does not exist" if missing else "nobody leads"
    elif (age := leader.get("lease_age_seconds")) is not None and age > leader["lease_seconds"]:
        yield f"the lease was not renewed for {age:.0f} s"
    for row in found["pods"]:
        if not row["ready"]:
            yield f"{row['pod']} is not ready: {row['state']}"
    sending = found["sending"] or {}
    if sending.get("entries_on") is False:
        yield f"sending of {'entries' if sending.get('exits_on') else 'all orders'} is stopped: {sending.get('reason')}"
    if found["open_incidents"]:
        yield f"{found['open_incidents']} incidents wait for a person: kubectl ratchet incidents"
    if (found["queue"] or {}).get("review"):
        yield f"{found['queue']['review']} signals are in review"


def screen(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the screen, none longer than 80 characters."""
    head = f"{found['release']} in {found['namespace']}  {found['version'] or ''}  {found['image']}"
    yield _cut(f"{head[: WIDTH - 10]:<{WIDTH - 10}}  {found['at'][11:19]}")
    yield ""
    yield from (_cut(f"{name:<10} {text}") for name, text in _facts(found))
    yield ""
    yield _cut(f"{'POD':<36} {'READY':<6} {'STATE':<12} {'RESTARTS':>8} {'AGE':>5}  NODE")
    for row in found["pods"]:
        name = row["pod"] if len(row["pod"]) <= 36 else f"{row['pod'][:22]}…{row['pod'][-13:]}"
        ready = "yes" if row["ready"] else "no"
        age = _age(row["age_seconds"])
        yield _cut(f"{name:<36} {ready:<6} {row['state'][:12]:<12} {row['restarts']:>8} {age:>5}  {row['node']}")
    if not found["pods"]:
        yield "no pods"
    if found["trouble"]:
        yield ""
        yield from (_cut(f"! {' '.join(one.split())}") for one in found["trouble"])


def _facts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    leader = found["leader"]
    if leader["holder"]:
        where = f" on {leader['node']}" if leader.get("node") else ""
        yield "leader", f"{leader.get('pod') or leader['holder']}{where}"
    else:
        yield "leader", "nobody"
    epoch = "unknown" if leader["epoch"] is None else str(leader["epoch"])
    if leader["kept_in"] == "database":
        yield "epoch", f"{epoch}; elected on a row of the database"
    elif (age := leader.get("lease_age_seconds")) is not None:
        yield "epoch", f"{epoch}; lease renewed {age:.1f} s ago, lasts {leader['lease_seconds']} s"
    else:
        yield "epoch", epoch
    queue = found["queue"]
    yield "queue", "unknown" if queue is None else _queue(queue)
    incidents = found["open_incidents"]
    yield "incidents", "unknown" if incidents is None else f"{incidents} open" if incidents else "none open"
    broker, database, redis = found["broker"] or {}, found["database"] or {}, found["redis"] or {}
    yield "broker", f"{broker.get('kind')}, mode {broker.get('mode')}" if broker else "unknown"
    sending = found["sending"]
    yield "sending", "unknown" if not sending else _sending(sending)
    if database:
        reach = "reachable" if database.get("reachable") else f"away for {database.get('away_seconds')} s"
        bell = "healthy" if redis.get("healthy") else "not used" if not redis.get("configured") else "away"
        yield "stores", f"{database.get('kind')} {reach}, redis {bell}"


def _queue(queue: Mapping[str, int]) -> str:
    accepted, processing, review = (queue.get(name, 0) for name in ("accepted", "processing", "review"))
    return f"{accepted} waiting, {processing} in work, {review} in review"


def _sending(sending: Mapping[str, Any]) -> str:
    entries, exits = ("on" if sending.get(name) else "off" for name in ("entries_on", "exits_on"))
    return f"entries {entries}, exits {exits}"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def _cut(line: str) -> str:
    line = line.rstrip()
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
