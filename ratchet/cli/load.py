"""A load: many signals over many accounts, each lane in its own order, with repeats that race their originals.

One lane is one instrument of one account. A trade of a lane is five signals, each of which passes its gates:

    BASE_ENTRY      opens two lots at the market
    MARKET_DATA     moves its stop
    EXIT Long_1     closes it
    EXIT ALL        finds nothing to close
    MARKET_DATA     a second bar

The next trade of the lane begins a minute later, because two entries of one layer within 60 s are one.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from ratchet.cli.courier import Courier, Delivery
from ratchet.cli.samples import MARKETS, Market, Message, bar, base_entry, exit_layer
from ratchet.clock import Clock

STEPS: tuple[Callable[[Market, datetime], Message], ...] = (
    base_entry,
    bar,
    lambda market, at: exit_layer(market, at, "Long_1"),
    exit_layer,
    bar,
)

TRADES_APART = timedelta(seconds=61)
BARS_APART = timedelta(seconds=1)

PREFIX = "load-"


class Repeat(StrEnum):
    """When a signal is sent a second time."""

    NEVER = "never"
    RACING = "racing"  # at the same moment, to another service
    LATER = "later"  # after the original has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The signals of one instrument of one account: how each is repeated, in order."""

    account: str
    market: Market
    repeats: tuple[Repeat, ...]

    @property
    def trades(self) -> int:
        """How many trades it begins."""
        return -(-len(self.repeats) // len(STEPS))


@dataclass(slots=True)
class Report:
    """What a load came to."""

    deliveries: list[Delivery] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def answers(self) -> Counter[str]:
        """How many messages were answered how."""
        return Counter(delivery.answer for delivery in self.deliveries)

    @property
    def outcomes(self) -> Counter[str]:
        """How many distinct signals ended how."""
        return Counter(self._ends().values())

    @property
    def reasons(self) -> Counter[tuple[str, str, str]]:
        """How many distinct signals ended how and why, by kind."""
        found = {d.id: (d.message.kind, d.outcome, d.reason) for d in self.deliveries if d.accepted}
        return Counter(found.values())

    @property
    def distinct(self) -> int:
        """How many different signals were accepted."""
        return len(self._ends())

    @property
    def split(self) -> list[str]:
        """Fingerprints that were stored under more than one id, which must never be."""
        ids: defaultdict[tuple[str | None, str], set[str]] = defaultdict(set)
        for delivery in self.deliveries:
            if delivery.id is not None:
                ids[delivery.account, delivery.message.fingerprint].add(delivery.id)
        return [f"{account}:{fingerprint}" for (account, fingerprint), found in ids.items() if len(found) > 1]

    def _ends(self) -> dict[str, str]:
        return {d.id: d.outcome for d in self.deliveries if d.id is not None}


def plan(*, total: int, duplicates: float, accounts: int, seed: int, markets: Sequence[Market] = MARKETS) -> list[Lane]:
    """Return the lanes of a load of `total` messages, of which the share `duplicates` (0 to 0.5) are repeats.

    The signals are spread evenly over the lanes; the seed decides which are repeated, and when.
    """
    repeated = round(total * duplicates)
    distinct = total - repeated
    dice = random.Random(seed)
    lanes = [(f"{PREFIX}{number:02}", market) for number in range(1, accounts + 1) for market in markets]
    dice.shuffle(lanes)
    lanes = lanes[:distinct]
    again = [Repeat.NEVER] * distinct
    for n, place in enumerate(dice.sample(range(distinct), repeated)):
        again[place] = Repeat.RACING if n % 2 else Repeat.LATER
    return [
        Lane(account=account, market=market, repeats=tuple(again[n :: len(lanes)]))
        for n, (account, market) in enumerate(lanes)
    ]


class Load:
    """Sends a planned load. Lanes go side by side; within a lane each signal waits for the end of the one before."""

    def __init__(
        self,
        courier: Courier,
        clock: Clock,
        *,
        concurrency: int,
        wait_seconds: float,
        on_delivery: Callable[[], None] = lambda: None,
    ) -> None:
        self._courier = courier
        self._clock = clock
        self._wait = wait_seconds
        self._on_delivery = on_delivery
        self._senders = ThreadPoolExecutor(concurrency, thread_name_prefix="lane")
        self._racers = ThreadPoolExecutor(concurrency, thread_name_prefix="racer")
        self._trade_at: dict[int, datetime] = {}
        self._bar_at: dict[int, datetime] = {}

    def run(self, lanes: Sequence[Lane], *, wait_for_all: bool) -> Report:
        """Send everything, the first trade of every lane before any second one.

        wait_for_all: also ask for the end of each lane's last signal.
        """
        began = self._clock.monotonic()
        report = Report()
        try:
            for trade in range(max((lane.trades for lane in lanes), default=0)):
                runs = [self._senders.submit(self._trade, lane, n, trade, wait_for_all) for n, lane in enumerate(lanes)]
                for run in runs:
                    report.deliveries += run.result()
        except BaseException:
            self._courier.stop()
            raise
        finally:
            self._senders.shutdown(cancel_futures=True)
            self._racers.shutdown(cancel_futures=True)
        report.seconds = self._clock.monotonic() - began
        return report

    def _trade(self, lane: Lane, number: int, trade: int, wait_for_all: bool) -> list[Delivery]:
        sent: list[Delivery] = []
        first = trade * len(STEPS)
        for step, repeat in enumerate(lane.repeats[first : first + len(STEPS)]):
            last = first + step == len(lane.repeats) - 1
            message = self._message(lane.market, number, step)
            follow = not last or wait_for_all or repeat is Repeat.LATER
            sent += self._send(lane.account, message, repeat, start=number + step, follow=follow)
        return sent

    def _send(self, account: str, message: Message, repeat: Repeat, *, start: int, follow: bool) -> list[Delivery]:
        racing = None
        if repeat is Repeat.RACING:
            racing = self._racers.submit(self._courier.deliver, message, account, start=start + 1)
        first = self._courier.deliver(message, account, start=start)
        again = [racing.result()] if racing is not None else []
        if follow:
            self._courier.follow(first, within_seconds=self._wait, start=start)
        if repeat is Repeat.LATER:
            again.append(self._courier.deliver(message, account, start=start + 1))
        for other in again:
            if other.id == first.id:
                other.outcome, other.reason = first.outcome, first.reason
            self._on_delivery()
        self._on_delivery()
        return [first, *again]

    def _message(self, market: Market, lane: int, step: int) -> Message:
        make = STEPS[step]
        at = self._clock.now().replace(microsecond=0)
        if make is base_entry:
            before = self._trade_at.get(lane)
            if before is not None:
                self._courier.pause((before + TRADES_APART - at).total_seconds())
                at = max(self._clock.now().replace(microsecond=0), before + TRADES_APART)
            self._trade_at[lane] = at
        if make is bar:
            before = self._bar_at.get(lane)
            at = at if before is None else max(at, before + BARS_APART)
            self._bar_at[lane] = at
        return make(market, at)
