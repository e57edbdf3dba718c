"""Leaves a server alone that does not answer, and tries it again by one task at a time."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import StrEnum

from ratchet.clock import Clock


class Circuit(StrEnum):
    """closed: asked as usual; open: not asked; half_open: one task is trying it."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens after `failures` errors in a row; the pause before a probe doubles from `first` to `longest` seconds.

    The pause is a random part of its bound (full jitter), so that the pods do not come back all at once.
    Whoever `permits()` lets through must call `succeeded`, `failed` or `abandoned` afterwards.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        failures: int = 3,
        first: float = 1.0,
        longest: float = 30.0,
        jitter: Callable[[float], float] = lambda bound: random.uniform(0, bound),
    ) -> None:
        self._clock = clock
        self._limit = failures
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._failures = 0
        self._probes = 0
        self._retry_at = 0.0
        self.circuit = Circuit.CLOSED

    def permits(self) -> bool:
        """Return whether the server may be asked now; the first caller after the pause becomes the probe."""
        match self.circuit:
            case Circuit.CLOSED:
                return True
            case Circuit.HALF_OPEN:
                return False
            case Circuit.OPEN:
                if self._clock.monotonic() < self._retry_at:
                    return False
                self.circuit = Circuit.HALF_OPEN
                return True

    def succeeded(self) -> None:
        """The server answered."""
        self._failures = 0
        if self.circuit is not Circuit.OPEN:
            self._probes = 0
            self.circuit = Circuit.CLOSED

    def failed(self) -> None:
        """The server did not answer."""
        self._failures += 1
        if self.circuit is Circuit.HALF_OPEN or (self.circuit is Circuit.CLOSED and self._failures >= self._limit):
            self._open()

    def abandoned(self) -> None:
        """The caller was cancelled before it learnt anything; another task may probe."""
        if self.circuit is Circuit.HALF_OPEN:
            self.circuit = Circuit.OPEN

    def _open(self) -> None:
        bound = min(self._longest, self._first * 2**self._probes)
        self._probes = min(self._probes + 1, 32)
        self._retry_at = self._clock.monotonic() + self._jitter(bound)
        self.circuit = Circuit.OPEN
