"""Counts requests. Children of metrics are kept at hand, because looking one up costs more than counting."""

from __future__ import annotations

from functools import cache

from ratchet.observability import metrics
from ratchet.observability.metrics import Answer, Counter, Histogram

UNKNOWN_KIND = "unknown"
"""The kind of a signal that was refused before it could be told."""


@cache
def _received(kind: str, answer: Answer) -> Counter:
    return metrics.SIGNALS_RECEIVED.labels(kind, answer.value)


@cache
def _requests(route: str, status_class: int) -> Counter:
    return metrics.HTTP_REQUESTS.labels(route, f"{status_class}xx")


@cache
def _seconds(route: str) -> Histogram:
    return metrics.HTTP_SECONDS.labels(route)


def signal(kind: str, answer: Answer) -> None:
    """Count one handed-in signal by what its sender was told. kind: of a closed set."""
    _received(kind, answer).inc()


def request(route: str, status: int, seconds: float) -> None:
    """Count one request. route: its template, of a closed set; seconds: from its first byte to its answer."""
    _requests(route, status // 100).inc()
    _seconds(route).observe(seconds)
