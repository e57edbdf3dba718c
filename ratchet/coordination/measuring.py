"""Counts what was asked of Redis and how often locks were contended."""

from __future__ import annotations

from ratchet.coordination.base import Answer, Operation
from ratchet.coordination.breaker import Circuit
from ratchet.observability import metrics

_RESULTS = {Answer.OK: "taken", Answer.CONTENDED: "contended"}


def count(operation: Operation, answer: Answer, seconds: float, lock: str) -> None:
    """Count one operation. lock: the kind of lock, empty for what is none."""
    if answer is not Answer.SKIPPED:
        metrics.REDIS_SECONDS.labels(operation).observe(seconds)
    if answer in (Answer.ERROR, Answer.FULL):
        metrics.REDIS_ERRORS.labels(operation).inc()
    if operation is Operation.HOLD:
        metrics.LOCKS.labels(lock, _RESULTS.get(answer, "skipped")).inc()
        metrics.LOCK_SECONDS.labels(lock).observe(seconds)


def show(circuit: Circuit) -> None:
    """Show the breaker's present state."""
    for state in Circuit:
        metrics.REDIS_BREAKER.labels(state).set(state is circuit)


def kind_of(lock: str) -> str:
    """Return the kind of a lock for its label: what stands before the first colon of its name."""
    return lock.partition(":")[0]
