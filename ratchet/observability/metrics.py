"""Every metric, as a table of contents. Base units; label values come from enums or settings, never from a sender.

Ids go into logs. A counter only rises; what can fall is a gauge.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from time import perf_counter

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Info, generate_latest
from prometheus_client import Counter as Counter
from prometheus_client import Histogram as Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Buckets in seconds of what should take milliseconds."""
SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0, 300.0)
"""Buckets in seconds of what waits for the market or for other processes."""


class Answer(StrEnum):
    """What a sender was told."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    WINDOW = "window"
    INVALID = "invalid"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"


class BreakerState(StrEnum):
    """The circuit breaker in front of Redis."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Part(StrEnum):
    """What a process can be without and go on."""

    DATABASE = "database"
    REDIS = "redis"
    BROKER = "broker"


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, namespace="ratchet", registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, namespace="ratchet", registry=REGISTRY)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = FAST) -> Histogram:
    return Histogram(name, text, labels, namespace="ratchet", registry=REGISTRY, buckets=buckets)


# The process
BUILD = Info("build", "Version and schema of this process.", namespace="ratchet", registry=REGISTRY)
DEGRADED = _gauge("degraded", "1 while the process goes on without this part.", "part")
READ_ONLY = _gauge("read_only", "1 while signals cannot be accepted durably and only reading is served.")
DRAINING = _gauge("draining", "1 between the first SIGTERM and the end.")
DRAIN_SECONDS = _histogram("drain_duration_seconds", "From the first SIGTERM to closed pools.", buckets=SLOW)
DRAINED_REQUESTS = _counter("drained_requests", "Requests answered while draining.")

# HTTP
HTTP_REQUESTS = _counter("http_requests", "Requests by route and status class.", "route", "status")
HTTP_SECONDS = _histogram("http_request_duration_seconds", "From the first byte to the answer.", "route")
HTTP_OPEN = _gauge("http_requests_open", "Requests in work; http.max_open_requests is the limit.")
HTTP_CONNECTIONS = _gauge("http_connections_open", "Open connections; http.max_connections is the limit.")
RATE_LIMIT_SOURCES = _gauge("http_rate_limit_sources", "Sources remembered; http.rate_limit_sources is the limit.")

# Signals
SIGNALS_RECEIVED = _counter("signals_received", "Signals by kind and by what the sender was told.", "kind", "answer")
SIGNALS = _counter("signals", "Signals that reached their end.", "kind", "outcome")
SIGNAL_REASONS = _counter("signal_reasons", "Why signals ended other than executed.", "reason")
SIGNAL_CONFLICTS = _counter("signal_conflicts", "Redeliveries whose content differed from the first one's.")
SIGNALS_WAITING = _gauge("signals_waiting", "Accepted signals without an end, by status.", "status")
OLDEST_WAITING_SECONDS = _gauge("signals_waiting_oldest_seconds", "Age of the oldest signal without an end.")
LAST_SIGNAL = _gauge("last_signal_timestamp_seconds", "When the last signal was accepted here.")
ACCEPT_SECONDS = _histogram("accept_duration_seconds", "From a parsed signal to its durable row.")
ACCEPT_BATCH = _histogram("accept_batch_size", "Signals per accept commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128))
ACCEPT_QUEUE = _gauge("accept_queue_length", "Signals waiting for a commit; database.accept_queue_limit is the limit.")
RECENT_SIZE = _gauge("recent_fingerprints", "Fingerprints remembered here; redis.recent_limit is the limit.")

# Executing
CLAIMS = _counter("claims", "Claims by what became of them: claimed, taken_over, given_back, lost.", "result")
CLAIMS_HELD = _gauge("claims_held", "Signals in work here; execution.concurrency is the limit.")
ATTEMPTS_FAILED = _counter("attempts_failed", "Attempts at a signal that raised, to be tried again.", "kind")
QUEUE_SECONDS = _histogram("signal_queue_seconds", "From the durable row to the claim.", buckets=SLOW)
EXECUTE_SECONDS = _histogram("execute_duration_seconds", "From the claim to the recorded end.", "kind", buckets=SLOW)
SEND_SECONDS = _histogram("signal_to_send_seconds", "From the signal's stamp to its order's send.", buckets=SLOW)
INTENTS = _gauge("intents", "Order intents that are not terminal, by state.", "state")
INTENT_TRANSITIONS = _counter("intent_transitions", "Intents by the state they entered.", "state")
ORDERS_IN_FLIGHT = _gauge("orders_in_flight", "Orders this process has sent and not yet recorded.")
RESOLUTIONS = _counter("resolutions", "How orders without a clear answer were resolved.", "how")
UNKNOWN_SECONDS = _histogram("unknown_duration_seconds", "How long an order stayed unknown.", buckets=SLOW)
EXITS_UNKNOWN = _counter("exits_unknown", "Exits' orders that stayed unknown until a person was called.")
FILL_SECONDS = _histogram("fill_duration_seconds", "From the send to the final fill.", buckets=SLOW)

# The broker
BROKER_CALLS = _counter("broker_calls", "Calls by what came back.", "call", "outcome")
BROKER_SECONDS = _histogram("broker_call_duration_seconds", "Duration of a call.", "call", buckets=SLOW)
ORDER_BUDGET_WAITS = _counter("order_budget_waits", "Orders that had to wait for the order budget.")
BROKER_MODE_OK = _gauge("broker_mode_ok", "1 while OpenAlgo is in the configured mode.")

# The database
DATABASE_SECONDS = _histogram("database_operation_duration_seconds", "Transactions by name.", "operation")
DATABASE_RETRIES = _counter("database_retries", "Transactions tried again, by cause.", "cause")
DATABASE_DOUBTS = _counter("database_commits_in_doubt", "Commits whose outcome had to be read back.")
DATABASE_POOL = _gauge("database_pool_connections", "Pool connections by state; pool_size is the limit.", "state")

# Redis and locks
REDIS_SECONDS = _histogram("redis_operation_duration_seconds", "Duration of a command.", "operation")
REDIS_ERRORS = _counter("redis_errors", "Commands that failed or took too long.", "operation")
REDIS_BREAKER = _gauge("redis_breaker", "1 for the breaker's present state.", "state")
LOCKS = _counter("locks", "Saving locks by result: taken, contended, skipped.", "lock", "result")
LOCK_SECONDS = _histogram("lock_wait_seconds", "Wait for a saving lock.", "lock")

# Risk and attention
EQUITY = _gauge("equity_rupees", "Equity by account and mode.", "account", "mode")
MARGIN_WARNINGS = _counter("margin_warnings", "Entries that took margin in use above limits.margin_warn.", "account")
OPEN_LAYERS = _gauge("open_layers", "Open layers.", "account", "instrument")
INCIDENTS_OPEN = _gauge("incidents_open", "Incidents that wait for a person.", "kind")
INCIDENTS = _counter("incidents", "Incidents opened.", "kind")
SENDING_ALLOWED = _gauge("sending_allowed", "1 while the kill switch lets this through: entries, exits.", "side")
LAST_BAR = _gauge("last_bar_timestamp_seconds", "Stamp of the last bar applied.", "instrument")

# The leader
LEADER = _gauge("leader", "1 while this process leads.")
LEADER_EPOCH = _gauge("leader_epoch", "The epoch under which this process leads; 0 while it does not.")
LEADER_TRANSITIONS = _counter("leader_transitions", "Times this process began to lead.")
LEADER_RENEW_SECONDS = _histogram("leader_renew_duration_seconds", "Duration of a renewal.")
LEADER_RENEW_FAILURES = _counter("leader_renew_failures", "Renewals that failed.", "reason")
LEADER_LEASE_REMAINING = _gauge("leader_lease_remaining_seconds", "What is left of the lease while this process leads.")
LEADER_FENCED_OUT = _counter("leader_fenced_out", "Commits refused because a newer epoch leads.")
LEADER_TAKEOVER_SECONDS = _histogram("leader_takeover_seconds", "From the last renewal seen to leading.", buckets=SLOW)
DUTY_SECONDS = _histogram("duty_duration_seconds", "Duties of the leader.", "duty", buckets=SLOW)
DUTY_FAILURES = _counter("duty_failures", "Duties that failed and will be tried again.", "duty")
RECONCILIATIONS = _counter("reconciliations", "Comparisons of the books by result.", "result")


def render() -> bytes:
    """Return all metrics in the text format that Prometheus reads."""
    return generate_latest(REGISTRY)


@contextmanager
def timed(histogram: Histogram, *labels: str) -> Iterator[None]:
    """Observe the seconds that the block takes, however it ends."""
    began = perf_counter()
    try:
        yield
    finally:
        (histogram.labels(*labels) if labels else histogram).observe(perf_counter() - began)
