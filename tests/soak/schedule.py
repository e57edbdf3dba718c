"""What a seed stands for: which signals are sent when, and what is broken when. The same seed, the same schedule."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ratchet.failpoints import Action, Failpoint

SECONDS = 6.0
"""Length of a schedule; what it started may go on for longer."""
LEADERS = 2
LOAD_ACCOUNTS = 3
ACCOUNTS = ("main", *(f"load-{number:02}" for number in range(1, LOAD_ACCOUNTS + 1)))
INSTRUMENTS = ("BANK_NIFTY", "GOLD_MINI", "SILVER_MINI", "COPPER")
LONGEST_HANG = 2.0
"""Seconds of a rule's hang. With a chaos's hang and a lag of the book on top it stays below D of the test preset."""
CHAOS_HANG = 0.5
DUE_DAYS = 60
"""Where something rolls, contracts with fewer days left have to be left."""
BOOK_LAG = 0.4
"""Below A of the test preset, since a rule's lag may meet a chaos's unclear answer."""

_POINTS = tuple(point for point in Failpoint if point not in (Failpoint.K17, Failpoint.K18, Failpoint.K19))
_PAST_THE_LEASE = (1.2, 2.2)
_PAST_LEADING = (1.8, 2.8)
"""Longer than the leader's lease."""
_LONGER_LEASE = 1.5
"""By so much is the shortest Lease of a cluster longer than that of the test preset."""
_IN_CLUSTER = 1 / 3
"""How often leaders that roll are elected in the cluster, where there is one."""
_WITHOUT_API = (3.5, 5.0)
"""Longer than the Lease."""
_LEADER_FAULTS: Mapping[str, int] = {"kill_leader": 3, "freeze_leader": 4, "drain_leader": 1, "lose_lease": 3}
"""What happens to leaders while something rolls, and how often against the others."""
_LEADER_POINTS = (
    Failpoint.K17,
    Failpoint.K17,
    Failpoint.K18,
    Failpoint.K20,
    Failpoint.K8,
    Failpoint.K10,
    Failpoint.K14,
)
_FAULTS: Mapping[str, int] = {
    "kill_service": 4,
    "pause_service": 3,
    "drain_service": 2,
    "scale_up": 1,
    "kill_leader": 2,
    "pause_leader": 1,
    "drain_leader": 1,
    "cut_connections": 3,
    "restart_postgres": 2,
    "kill_postgres": 1,
    "freeze_postgres": 1,
    "restart_redis": 1,
    "empty_redis": 2,
    "freeze_redis": 1,
    "broker_chaos": 5,
    "broker_rule": 5,
    "restart_broker": 2,
    "lose_session": 1,
    "entries_off": 1,
}
"""What can happen, and how often against the others."""
_CHAOS = (
    "rate_limit_429",
    "error_500_before",
    "cut_before",
    "hang_then_book",
    "book_500",
    "null_orderid",
    "error_500_after",
    "accept_then_cut",
    "accept_then_hang",
    "garbage_body",
    "gateway_502",
    "gateway_503",
    "gateway_504",
    "string_numbers",
    "slow",
    "partial_fill",
    "reject_after_accept",
    "limit_shown",
)
_RULES: tuple[Mapping[str, Any], ...] = (
    {"fault": "accept_then_cut"},
    {"fault": "accept_then_hang", "seconds": LONGEST_HANG},
    {"fault": "hang_then_book", "seconds": LONGEST_HANG},
    {"fault": "cut_before"},
    {"fault": "book_lag", "seconds": BOOK_LAG},
    {"fault": "odd_status", "text": "inherit", "seconds": 1},
    {"fault": "odd_status", "text": "modified", "seconds": 1},
    {"fault": "partial_fill", "fraction": "0.5", "rest": "after", "seconds": 1},
    {"fault": "partial_fill", "fraction": "0.5", "rest": "never"},
    {"fault": "never_fill", "match": {"side": "BUY"}},
    {"fault": "reject_after_accept", "seconds": 0.5, "text": "RMS: margin"},
    {"fault": "refuse_4xx", "text": "RMS: not today"},
    {"fault": "gateway_504", "booked": True},
    {"fault": "gateway_502", "booked": False},
    {"fault": "null_orderid"},
    {"fault": "book_500", "times": 5},
    {"fault": "rate_limit_429", "times": 2},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something is done to the installation. at: seconds from the start."""

    at: float
    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A signal is sent. skew: how far the sender's clock is ahead, in seconds; again: sent once more, after seconds."""

    at: float
    account: str
    instrument: str
    kind: str
    position: str | None
    skew: float
    again: float | None
    falls: bool = False
    """A bar that closed below every stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Everything that a seed decides. failpoints: what each service is started with; and so each leader.

    rolls: by the leaders' rules the nearest contracts have to be left, so that every layer is rolled once.
    in_cluster: leaders are elected on a Lease of a Kubernetes cluster, not on a row of the database.
    """

    seed: int
    services: int
    exclusive: bool
    failpoints: tuple[str, ...]
    acts: tuple[Act, ...]
    signals: tuple[Planned, ...]
    leader_failpoints: tuple[str, ...]
    rolls: bool
    in_cluster: bool = False


def draw(seed: int, *, cluster: bool = False) -> Schedule:
    """Return the schedule of a seed. cluster: there is one, in which leaders can be elected."""
    schedule = _draw(seed)
    chance = random.Random(f"place of {seed}")  # a stream of its own
    if cluster and schedule.rolls and chance.random() < _IN_CLUSTER:
        return _elected_in_cluster(schedule, chance)
    return schedule


def _elected_in_cluster(schedule: Schedule, chance: random.Random) -> Schedule:
    """Return the same schedule with a longer lease, beyond which leaders stall, and an API server to lose.

    Nobody asks the database for a lease then, so that it is not lost there.
    """
    there = [act for act in schedule.acts if act.what != "lose_lease"]
    acts = [_longer(act) if act.what == "freeze_leader" else act for act in there]
    for _ in range(chance.randint(1, 2)):
        detail = {
            "which": chance.randrange(100),
            "seconds": round(chance.uniform(*_WITHOUT_API), 2),
            "how": chance.choice(("hang", "refuse")),
            "everyone": chance.random() < 0.4,
        }
        acts.append(Act(at=round(chance.uniform(1.0, SECONDS - 0.5), 2), what="lose_api", detail=detail))
    return replace(
        schedule,
        in_cluster=True,
        acts=tuple(sorted(acts, key=lambda act: act.at)),
        leader_failpoints=tuple(_longer_pause(armed) for armed in schedule.leader_failpoints),
    )


def _longer(act: Act) -> Act:
    seconds = round(act.detail["seconds"] + _LONGER_LEASE, 2)
    return replace(act, detail={**act.detail, "seconds": seconds})


def _longer_pause(armed: str) -> str:
    point, action, *more = armed.split(":") if armed else ("", "")
    if action != Action.PAUSE:
        return armed
    seconds, nth = more
    return f"{point}:{action}:{float(seconds) + _LONGER_LEASE:.1f}:{nth}"


def _draw(seed: int) -> Schedule:
    chance = random.Random(seed)
    services = chance.choice((2, 3))
    exclusive = chance.random() < 0.75
    acts = [*_market(chance), *_faults(chance, exclusive=exclusive)]
    of_leaders = random.Random(f"leaders of {seed}")  # a stream of its own
    rolls = of_leaders.random() < 0.6
    if rolls:
        acts += _leader_faults(of_leaders)
    return Schedule(
        seed=seed,
        services=services,
        exclusive=exclusive,
        failpoints=tuple(_armed(chance) for _ in range(services)),
        acts=tuple(sorted(acts, key=lambda act: act.at)),
        signals=tuple(sorted(_signals(chance), key=lambda signal: signal.at)),
        leader_failpoints=tuple(_armed_leader(of_leaders, rolls=rolls) for _ in range(LEADERS)),
        rolls=rolls,
    )


def _armed(chance: random.Random) -> str:
    """Return what one service is started with: often nothing, else one or two deaths at crash points."""
    entries = []
    for _ in range(chance.choice((0, 1, 1, 2))):
        point, action = chance.choice(_POINTS), chance.choice(list(Action))
        pause = f":{chance.uniform(*_PAST_THE_LEASE):.1f}" if action is Action.PAUSE else ""
        entries.append(f"{point}:{action}{pause}:{chance.choice((1, 1, 2, 3, 5))}")
    return ",".join(entries)


def _armed_leader(chance: random.Random, *, rolls: bool) -> str:
    """Return what one leader is started with: half of them die, stall or are cut at a point of theirs."""
    if chance.random() < 0.5:
        return ""
    point = chance.choice(_LEADER_POINTS) if rolls else Failpoint.K18
    action = chance.choice(list(Action))
    pause = f":{chance.uniform(*_PAST_LEADING):.1f}" if action is Action.PAUSE else ""
    nth = chance.randint(10, 200) if point is Failpoint.K20 else 1 if point is Failpoint.K18 else chance.randint(1, 3)
    return f"{point}:{action}{pause}:{nth}"


def _leader_faults(chance: random.Random) -> list[Act]:
    names = chance.choices(list(_LEADER_FAULTS), weights=list(_LEADER_FAULTS.values()), k=chance.randint(1, 3))
    return [
        Act(at=round(chance.uniform(1.0, SECONDS - 0.5), 2), what=name, detail=_detail(chance, name)) for name in names
    ]


def _market(chance: random.Random) -> list[Act]:
    """Every instrument rises a step or two, so that pyramids are allowed."""
    return [
        Act(at=round(chance.uniform(start, start + 1.0), 2), what="market_rises", detail={"instrument": name})
        for name in INSTRUMENTS
        for start in (1.8, 3.6)
    ]


def _faults(chance: random.Random, *, exclusive: bool) -> list[Act]:
    names = chance.choices(list(_FAULTS), weights=list(_FAULTS.values()), k=chance.randint(3, 7))
    if not exclusive:
        names += ["foreign_twin"] * chance.randint(1, 2)
    return [
        Act(at=round(chance.uniform(0.2, SECONDS - 0.5), 2), what=name, detail=_detail(chance, name)) for name in names
    ]


def _detail(chance: random.Random, name: str) -> dict[str, Any]:
    match name:
        case "broker_chaos":
            kinds = chance.sample(_CHAOS, k=chance.randint(1, 4))
            rates = {kind: round(chance.uniform(0.03, 0.25), 2) for kind in kinds}
            seconds = round(chance.uniform(0.5, 3.0), 2)
            return {"seed": chance.randrange(1_000_000), "rates": rates, "seconds": seconds}
        case "broker_rule":
            return dict(chance.choice(_RULES))
        case "foreign_twin":
            instrument = chance.choice(INSTRUMENTS[1:])
            return {
                "account": chance.choice(ACCOUNTS),
                "instrument": instrument,
                "side": chance.choice(("BUY", "SELL")),
            }
        case "freeze_leader" | "lose_lease":
            return {"which": chance.randrange(100), "seconds": round(chance.uniform(*_PAST_LEADING), 2)}
        case "pause_service" | "pause_leader":
            return {"which": chance.randrange(100), "seconds": round(chance.uniform(*_PAST_THE_LEASE), 2)}
        case _:
            return {"which": chance.randrange(100), "seconds": round(chance.uniform(0.2, 1.8), 2)}


def _signals(chance: random.Random) -> list[Planned]:
    lanes = [(account, instrument) for account in ACCOUNTS for instrument in INSTRUMENTS]
    found: list[Planned] = []
    for account, instrument in chance.sample(lanes, k=chance.randint(7, 12)):
        begin = chance.uniform(0.0, 1.8)
        story: list[tuple[str, str | None, float]] = [("BASE_ENTRY", "Long_1", begin)]
        if chance.random() < 0.7:
            story.append(("PYRAMID", "Long_2", chance.uniform(2.6, 4.5)))
        if chance.random() < 0.3:
            story.append(("PYRAMID", "Long_3", chance.uniform(4.2, 5.8)))
        story += [("MARKET_DATA", None, chance.uniform(1.0, SECONDS)) for _ in range(chance.randint(0, 2))]
        if chance.random() < 0.4:
            story.append(("EXIT", chance.choice(("Long_1", "Long_2")), chance.uniform(2.0, SECONDS)))
        if chance.random() < 0.5:
            story.append(("EXIT", "ALL", chance.uniform(begin + 1.0, SECONDS)))
        if chance.random() < 0.2:
            story.append(("FALL", None, chance.uniform(4.0, SECONDS)))
        if chance.random() < 0.2:
            story.append(("EOD_MONITOR", None, chance.uniform(1.0, SECONDS)))
        found += [_signal(chance, account, instrument, *part) for part in story]
    return found


def _signal(
    chance: random.Random, account: str, instrument: str, kind: str, position: str | None, at: float
) -> Planned:
    return Planned(
        at=round(at, 2),
        account=account,
        instrument=instrument,
        kind="MARKET_DATA" if kind == "FALL" else kind,
        position=position,
        skew=round(chance.uniform(-3.0, 3.0), 1) if chance.random() < 0.1 else 0.0,
        again=round(chance.uniform(0.0, 2.0), 2) if chance.random() < 0.3 else None,
        falls=kind == "FALL",
    )
