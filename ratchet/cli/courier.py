"""Delivers messages to services and follows what becomes of them."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.cli.api import Api, NoAnswer, Reply
from ratchet.cli.samples import Message
from ratchet.clock import Clock
from ratchet.domain.signals import TERMINAL, SignalStatus

ENDED = frozenset({*TERMINAL, SignalStatus.REVIEW})
"""Statuses in which nothing more happens by itself."""

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 3.0
FIRST_LOOK_SECONDS = 0.05
LONGEST_LOOK_SECONDS = 1.0


@dataclass(slots=True)
class Delivery:
    """One message and what came of it. answer: new, exact, window, refused or unsent.

    retried: what the last failed try before the answer was told, if one failed.
    """

    message: Message
    account: str | None
    answer: str
    id: str | None = None
    problem: str = ""
    tries: int = 1
    outcome: str = ""
    reason: str = ""
    error: str = ""
    retried: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the service answered with a durable receipt."""
        return self.id is not None

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.outcome in ENDED

    def row(self) -> dict[str, Any]:
        """Return it for a table."""
        return {
            "instrument": self.message.instrument,
            "kind": self.message.kind,
            "layer": self.message.layer,
            "answer": self.answer,
            "outcome": self.outcome or None,
            "reason": self.reason or self.problem or None,
            "id": self.id,
        }


class Courier:
    """Sends to several services in turn, as one that does not give up on 5xx, 429 or a lost connection.

    TradingView waits five seconds between its tries; here the pauses are shorter and the patience is longer.
    """

    def __init__(
        self, apis: Sequence[Api], clock: Clock, *, strategy: str | None = None, patience_seconds: float = 60.0
    ) -> None:
        self._apis = tuple(apis)
        self._clock = clock
        self._strategy = strategy
        self._patience = patience_seconds
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Give up all waiting."""
        self._stopped.set()

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond a stop."""
        self._stopped.wait(max(0.0, seconds))

    def deliver(self, message: Message, account: str | None, *, start: int = 0) -> Delivery:
        """Send a message until somebody answers it, starting at the service number `start`."""
        body = json.dumps(message.body, separators=(",", ":")).encode()
        give_up = self._clock.monotonic() + self._patience
        pause, tries, problem = FIRST_PAUSE_SECONDS, 0, ""
        while not self.stopped:
            api = self._apis[(start + tries) % len(self._apis)]
            tries += 1
            try:
                reply = api.post("/signals", body, account=account, strategy=self._strategy)
                if reply.status < 500 and reply.status != 429:
                    answered = _answered(message, account, reply, tries)
                    answered.retried = problem
                    return answered
                problem = reply.problem
            except NoAnswer as error:
                problem = f"{api.url}: {error}"
            if self._clock.monotonic() >= give_up:
                break
            self.pause(random.uniform(0.5, 1) * pause)
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
        return Delivery(message, account, "unsent", problem=problem or "stopped", tries=tries)

    def follow(self, delivery: Delivery, *, within_seconds: float, start: int = 0) -> Delivery:
        """Ask for a signal's outcome until it has ended; what is known by then stands in the delivery."""
        give_up = self._clock.monotonic() + within_seconds
        look, asked = FIRST_LOOK_SECONDS, 0
        while delivery.accepted and not (delivery.ended and asked) and not self.stopped:
            api = self._apis[(start + asked) % len(self._apis)]
            asked += 1
            try:
                reply = api.get(f"/signals/{delivery.id}")
                if reply.good:
                    delivery.outcome = reply.body["status"]
                    delivery.reason = reply.body.get("reason") or ""
                    delivery.error = reply.body.get("error") or ""
            except NoAnswer as error:
                delivery.problem = str(error)
            if delivery.ended or self._clock.monotonic() >= give_up:
                break
            self.pause(look)
            look = min(LONGEST_LOOK_SECONDS, look * 1.5)
        return delivery


def _answered(message: Message, account: str | None, reply: Reply, tries: int) -> Delivery:
    if not reply.good:
        return Delivery(message, account, "refused", problem=reply.problem, tries=tries)
    return Delivery(
        message,
        account,
        reply.body["duplicate"] or "new",
        id=reply.body["id"],
        outcome=reply.body["status"],
        tries=tries,
    )
