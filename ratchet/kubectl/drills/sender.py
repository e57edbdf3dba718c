"""Runs in a pod: hands in signals at a steady pace until a file appears, then prints what became of each of them.

Each trade is five signals of one lane (one instrument of one account), in order, the first of them an entry; every
fifth signal is sent a second time. A line of JSON is printed for each message when its end is known, and
`{"end": true}` last.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from ratchet.cli.connecting import connect_all
from ratchet.cli.courier import Courier, Delivery
from ratchet.cli.load import BARS_APART, STEPS, TRADES_APART
from ratchet.cli.samples import MARKETS, Market, Message
from ratchet.clock import SystemClock

FOLLOW_SECONDS = 180.0
"""Longest wait for the end of a signal: as long as the product takes to find out what became of a lost answer."""

PATIENCE_SECONDS = 120.0
"""Longest time that one message is tried for."""

AT_ONCE = 48
REPEAT_EACH = 5


class Lane:
    """One instrument of one account. Used by one trade at a time."""

    def __init__(self, account: str, market: Market, number: int) -> None:
        self.account = account
        self._market = market
        self._sent = number  # so that not every lane repeats the same step
        self.busy = False
        self.next_at: datetime | None = None
        self._bar_at: datetime | None = None

    def due(self, now: datetime) -> bool:
        """Whether a trade may begin: two entries of one lane within a minute are one."""
        return not self.busy and (self.next_at is None or now >= self.next_at)

    def messages(self, clock: SystemClock) -> Iterator[tuple[Message, bool]]:
        """Yield the messages of one trade, and whether each is to be repeated."""
        for step, make in enumerate(STEPS):
            at = clock.now().replace(microsecond=0)
            if step == 0:
                self.next_at = at + TRADES_APART
            if self._is_bar(step):
                at = at if self._bar_at is None else max(at, self._bar_at + BARS_APART)
                self._bar_at = at
            self._sent += 1
            yield make(self._market, at), self._sent % REPEAT_EACH == 0

    @staticmethod
    def _is_bar(step: int) -> bool:
        return STEPS[step] is STEPS[1]


class Sender:
    """Begins trades at a pace, whatever becomes of those before."""

    def __init__(self, courier: Courier, clock: SystemClock, lanes: Sequence[Lane]) -> None:
        self._courier = courier
        self._clock = clock
        self._lanes = list(lanes)
        self._printing = threading.Lock()

    def run(self, *, rate: float, stop_file: Path, limit_seconds: float) -> None:
        """Send `rate` signals a second until `stop_file` is there, or `limit_seconds` are over; wait for every end."""
        give_up = self._clock.monotonic() + limit_seconds
        running: set[Future[None]] = set()
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="trade") as pool:
            while not stop_file.exists() and self._clock.monotonic() < give_up:
                running = {one for one in running if not one.done()}
                lane = self._next_lane()
                if lane is not None and len(running) < AT_ONCE:
                    lane.busy = True
                    running.add(pool.submit(self._trade, lane))
                self._courier.pause(len(STEPS) / rate)

    def _next_lane(self) -> Lane | None:
        now = self._clock.now()
        for lane in self._lanes:
            if lane.due(now):
                self._lanes.remove(lane)
                self._lanes.append(lane)
                return lane
        return None

    def _trade(self, lane: Lane) -> None:
        try:
            for message, repeat in lane.messages(self._clock):
                first = self._send(lane, message)
                self._courier.follow(first[1], within_seconds=FOLLOW_SECONDS)
                again = self._send(lane, message) if repeat else None
                self._tell(*first, repeat=False)
                if again is not None:
                    again[1].outcome = first[1].outcome
                    self._tell(*again, repeat=True)
        finally:
            lane.busy = False

    def _send(self, lane: Lane, message: Message) -> tuple[tuple[float, float], Delivery]:
        at, began = self._clock.now().timestamp(), self._clock.monotonic()
        delivery = self._courier.deliver(message, lane.account)
        return (at, self._clock.monotonic() - began), delivery

    def _tell(self, times: tuple[float, float], delivery: Delivery, *, repeat: bool) -> None:
        line = {
            "at": round(times[0], 3),
            "took": round(times[1], 3),
            "tries": delivery.tries,
            "answer": delivery.answer,
            "id": delivery.id,
            "fingerprint": f"{delivery.account}:{delivery.message.fingerprint}",
            "outcome": delivery.outcome,
            "ended": delivery.ended,
            "problem": delivery.problem or delivery.retried,
            "repeat": repeat,
        }
        with self._printing:
            print(json.dumps(line), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Send until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m ratchet.kubectl.drills.sender", description=__doc__)
    parser.add_argument("--accounts", required=True, help="accounts, separated by commas")
    parser.add_argument("--rate", type=float, default=5.0, help="signals a second")
    parser.add_argument("--stop-file", type=Path, required=True)
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds")
    args = parser.parse_args(arguments)
    clock = SystemClock()
    courier = Courier(connect_all([]), clock, patience_seconds=PATIENCE_SECONDS)
    accounts = [name for name in args.accounts.split(",") if name]
    lanes = [Lane(account, market, number) for number, account in enumerate(accounts) for market in MARKETS]
    Sender(courier, clock, lanes).run(rate=args.rate, stop_file=args.stop_file, limit_seconds=args.limit)
    print(json.dumps({"end": True}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
