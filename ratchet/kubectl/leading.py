"""`kubectl ratchet leader`, `failover`: who leads, and an orderly change of it."""

from __future__ import annotations

import argparse
from typing import Any

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed, Output
from ratchet.clock import SystemClock
from ratchet.kubectl.main import release_of
from ratchet.kubectl.release import HAND_OVER_TO, Lease, Release
from ratchet.kubectl.status import age_seconds
from ratchet.kubectl.watching import Chronicle, Moment, watching

LEADER_EXAMPLES = """\
examples:
  kubectl ratchet leader                        who leads, who stands by, what changed lately
  kubectl ratchet leader -o json | jq -r .pod

Ends with 1 if nobody leads."""

FAILOVER_EXAMPLES = """\
examples:
  kubectl ratchet failover                      to whoever stands by
  kubectl ratchet failover --to ratchet-leader-757b588b64-rq56q

Annotates the Lease and waits; the leader ends its duties, then gives the Lease back. The Lease is never deleted.
Ends with 1 if nobody else led in time; the wish is withdrawn then."""

ANY = "any"
EVENTS = 10


def add_leader(parser: argparse.ArgumentParser) -> None:
    """Declare the command line: nothing of its own."""
    parser.set_defaults()


def leader(args: argparse.Namespace, out: Output) -> Exit:
    """Print who leads."""
    release = release_of(args)
    lease = _lease_of(release)
    pods = release.pods("leader")
    on = next((pod.node for pod in pods if pod.name == lease.pod), None)
    facts: dict[str, Any] = {
        "lease": release.lease_name,
        "pod": lease.pod or None,
        "node": on,
        "identity": lease.holder or None,
        "epoch": lease.epoch,
        "transitions": lease.transitions,
        "lasts_seconds": lease.duration_seconds,
        "renewed_seconds_ago": age_seconds(lease.renewed, SystemClock().now()),
        "standing_by": [pod.name for pod in pods if pod.ready and pod.name != lease.pod],
    }
    events = _events(release)
    if out.as_json:
        out.data({**facts, "events": events})
    else:
        out.facts({**facts, "standing_by": ", ".join(facts["standing_by"]) or "nobody"})
        for event in events:
            out.line(f"{event['at']}  {event['reason']}: {event['told']}")
        if not events:
            out.line("no events: the cluster keeps them for an hour or so")
    return Exit.OK if lease.holder else Exit.FOUND


def _events(release: Release) -> list[dict[str, str]]:
    """Return what leaders told lately, oldest first; nothing if that may not be read."""
    about = f"involvedObject.kind=Lease,involvedObject.name={release.lease_name}"
    try:
        found = release.kube.json("get", "events", "--field-selector", about)["items"]
    except CommandFailed:
        return []
    rows = [
        {
            "at": str(one.get("eventTime") or one.get("lastTimestamp") or "")[:19],
            "reason": str(one.get("reason")),
            "told": str(one.get("message")),
        }
        for one in found
    ]
    return sorted(rows, key=lambda row: row["at"])[-EVENTS:]


def add_failover(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--to", default=ANY, metavar="POD", help="the leader pod that is to lead (any other one)")
    parser.add_argument("--within", type=float, default=60.0, metavar="S", help="seconds to wait (60)")


def failover(args: argparse.Namespace, out: Output) -> Exit:
    """Ask for it, wait, and print the timeline."""
    release = release_of(args)
    lease = _lease_of(release)
    _check(release, lease, args.to)
    clock = SystemClock()
    chronicle = Chronicle(clock)
    with watching(release, chronicle):
        asked = chronicle.note(f"{lease.pod} leads under epoch {lease.epoch}; asked to hand over to {args.to}")
        wish(release, args.to)
        done = chronicle.until(lambda: led_by_another(chronicle, asked.at, lease), within_seconds=args.within)
    if not done:
        _withdraw(release)
    after = _lease_of(release)
    rows = timeline(chronicle, asked.at)
    seconds = next((m.at - asked.at for m in chronicle.since(asked.at) if _later(m.epoch, lease.epoch)), None)
    if out.as_json:
        out.data(
            {
                "handed_over": done,
                "from": lease.pod,
                "to": after.pod,
                "epoch_before": lease.epoch,
                "epoch": after.epoch,
                "seconds": None if seconds is None else round(seconds, 3),
                "timeline": rows,
            }
        )
    else:
        for row in rows:
            out.line(f"{row['seconds']:>8.3f} s  {row['what']}")
        out.line(f"{after.pod} leads" if done else f"nobody else led within {args.within:.0f} s; the wish is withdrawn")
    return Exit.OK if done else Exit.FOUND


def wish(release: Release, to: str) -> None:
    """Ask the leader to hand over. Raises CommandFailed."""
    release.kube.text("annotate", "lease", str(release.lease_name), f"{HAND_OVER_TO}={to}", "--overwrite")


def led_by_another(chronicle: Chronicle, since: float, before: Lease) -> bool:
    """Return whether another process holds the lease since an instant, under an epoch of its own."""
    seen = chronicle.since(since)
    held = any(m.holder not in (None, "", before.holder) for m in seen)
    return held and any(_later(m.epoch, before.epoch) for m in seen)


def timeline(chronicle: Chronicle, since: float) -> list[dict[str, Any]]:
    """Return what was seen since an instant, in seconds after it."""
    return [row(moment, since) for moment in chronicle.since(since)]


def row(moment: Moment, since: float) -> dict[str, Any]:
    """Return a moment for a table."""
    return {"seconds": round(moment.at - since, 3), "what": moment.what}


def _later(epoch: int | None, before: int | None) -> bool:
    return epoch is not None and epoch > (before or 0)


def _lease_of(release: Release) -> Lease:
    if release.lease_name is None:
        raise CommandFailed(
            "this release elects its leader on a row of the database (leader.backend=database), so kubectl cannot see "
            "it: `kubectl ratchet status` shows the holder",
            Exit.FOUND,
        )
    lease = release.lease()
    if lease is None:
        raise CommandFailed(
            f"the lease {release.lease_name} does not exist, so nobody leads: `helm upgrade` makes it again", Exit.FOUND
        )
    return lease


def _check(release: Release, lease: Lease, to: str) -> None:
    """Refuse what cannot come to a good end."""
    if not lease.holder:
        raise CommandFailed("nobody leads, so nobody can hand over: `kubectl ratchet leader`", Exit.FOUND)
    ready = {pod.name for pod in release.pods("leader") if pod.ready}
    if to == ANY and not ready - {lease.pod}:
        raise CommandFailed(f"nobody stands by: {lease.pod} is the only leader pod that is ready", Exit.FOUND)
    if to == lease.pod:
        raise CommandFailed(f"{to} leads already", Exit.USAGE)
    if to != ANY and to not in ready:
        raise CommandFailed(f"{to} is no ready leader pod; ready: {', '.join(sorted(ready))}", Exit.USAGE)


def _withdraw(release: Release) -> None:
    release.kube.text("annotate", "lease", str(release.lease_name), f"{HAND_OVER_TO}-")
