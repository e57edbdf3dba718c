"""The plan and the order of a load, without a network."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.cli import load
from ratchet.cli.courier import Courier, Delivery
from ratchet.cli.load import STEPS, TRADES_APART, Lane, Load, Repeat, plan
from ratchet.cli.samples import MARKETS, Message
from ratchet.domain.webhook import parse


class TickingClock:
    """A clock that moves on when somebody pauses."""

    def __init__(self) -> None:
        self.at = datetime(2027, 1, 11, 5, 30, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the instant."""
        return self.at

    def monotonic(self) -> float:
        """Return its seconds."""
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        """Nobody sleeps here."""
        raise AssertionError(seconds)


class RecordingCourier(Courier):
    """Delivers to nobody: gives the first of each message a new id, the others the same one."""

    def __init__(self, clock: TickingClock) -> None:
        super().__init__([], clock)
        self.clock = clock
        self.sent: defaultdict[str, list[Message]] = defaultdict(list)
        self._ids: dict[tuple[str | None, str], str] = {}
        self._lock = threading.Lock()

    def pause(self, seconds: float) -> None:
        """Move the clock on."""
        with self._lock:
            self.clock.at += timedelta(seconds=max(0.0, seconds))

    def deliver(self, message: Message, account: str | None, *, start: int = 0) -> Delivery:
        """Note the message."""
        with self._lock:
            self.sent[f"{account}/{message.instrument}"].append(message)
            key = (account, message.fingerprint)
            new = key not in self._ids
            found = self._ids.setdefault(key, f"id-{len(self._ids)}")
        return Delivery(message, account, "new" if new else "exact", id=found, outcome="accepted")

    def follow(self, delivery: Delivery, *, within_seconds: float, start: int = 0) -> Delivery:
        """End it."""
        delivery.outcome, delivery.reason = "executed", "filled"
        return delivery


def send(lanes: list[Lane], *, concurrency: int = 4) -> tuple[load.Report, RecordingCourier]:
    """Run a load on a recording courier."""
    clock = TickingClock()
    courier = RecordingCourier(clock)
    report = Load(courier, clock, concurrency=concurrency, wait_seconds=1.0).run(lanes, wait_for_all=True)
    return report, courier


@given(
    total=st.integers(1, 500),
    duplicates=st.sampled_from([0.0, 0.1, 0.3, 0.5]),
    accounts=st.integers(1, 50),
    seed=st.integers(0, 9),
)
def test_a_plan_has_the_messages_and_the_repeats_asked_for_spread_evenly(
    total: int, duplicates: float, accounts: int, seed: int
) -> None:
    lanes = plan(total=total, duplicates=duplicates, accounts=accounts, seed=seed)
    repeats = [repeat for lane in lanes for repeat in lane.repeats]
    again = [repeat for repeat in repeats if repeat is not Repeat.NEVER]
    assert len(repeats) + len(again) == total
    assert len(again) == round(total * duplicates)
    lengths = [len(lane.repeats) for lane in lanes]
    assert max(lengths) - min(lengths) <= 1
    assert len({(lane.account, lane.market.instrument) for lane in lanes}) == len(lanes)


def test_one_seed_gives_one_plan() -> None:
    assert plan(total=100, duplicates=0.3, accounts=50, seed=7) == plan(total=100, duplicates=0.3, accounts=50, seed=7)
    assert plan(total=100, duplicates=0.3, accounts=50, seed=7) != plan(total=100, duplicates=0.3, accounts=50, seed=8)


def test_repeats_race_their_originals_and_come_later_in_turn() -> None:
    repeats = Counter(r for lane in plan(total=100, duplicates=0.4, accounts=5, seed=1) for r in lane.repeats)
    assert repeats[Repeat.RACING] == repeats[Repeat.LATER] == 20


def test_a_thousand_messages_over_fifty_accounts_need_no_waiting() -> None:
    lanes = plan(total=1000, duplicates=0.0, accounts=50, seed=0)
    assert {lane.trades for lane in lanes} == {1}


def test_every_message_of_a_load_is_valid_and_no_two_signals_are_one() -> None:
    report, courier = send(plan(total=120, duplicates=0.25, accounts=2, seed=3))
    assert report.distinct == 90
    assert report.answers == {"new": 90, "exact": 30}
    assert report.split == []
    for message in (m for messages in courier.sent.values() for m in messages):
        parse(json.dumps(message.body).encode())


def test_a_lane_opens_before_it_closes_and_trades_again_only_after_the_window() -> None:
    lane = Lane(account="load-01", market=MARKETS[3], repeats=(Repeat.NEVER,) * (2 * len(STEPS)))
    _, courier = send([lane])
    messages = courier.sent["load-01/COPPER"]
    assert [(m.kind, m.layer) for m in messages[: len(STEPS)]] == [
        ("BASE_ENTRY", "Long_1"),
        ("MARKET_DATA", None),
        ("EXIT", "Long_1"),
        ("EXIT", "ALL"),
        ("MARKET_DATA", None),
    ]
    entries = [m.stamp for m in messages if m.kind == "BASE_ENTRY"]
    assert entries[1] - entries[0] >= TRADES_APART
    bars = [m.stamp for m in messages if m.kind == "MARKET_DATA"]
    assert bars == sorted(set(bars))


def test_one_signal_under_two_ids_is_reported() -> None:
    lane = plan(total=1, duplicates=0.0, accounts=1, seed=0)[0]
    message = STEPS[0](lane.market, datetime(2027, 1, 11, 5, 30, tzinfo=UTC))
    twice = [Delivery(message, "load-01", "new", id=id_) for id_ in ("a", "b")]
    assert len(load.Report(twice).split) == 1


def test_an_error_of_one_lane_ends_the_load() -> None:
    clock = TickingClock()

    class Broken(RecordingCourier):
        def deliver(self, message: Message, account: str | None, *, start: int = 0) -> Delivery:
            raise RuntimeError("boom")

    courier = Broken(clock)
    with pytest.raises(RuntimeError, match="boom"):
        Load(courier, clock, concurrency=2, wait_seconds=1.0).run(
            plan(total=10, duplicates=0.0, accounts=1, seed=0), wait_for_all=False
        )
    assert courier.stopped
