"""Numbers and choices that only make sense together. Every message names the settings and the way out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ratchet import failpoints
from ratchet.config.problems import setting_name as name

if TYPE_CHECKING:
    from pydantic import SecretStr

    from ratchet.config.settings import Settings

BROKER_ORDERS_PER_SECOND = 10
"""What a broker allows. Source: docs/domain.md, section 8.2."""

SHORTEST_TOKEN = 16

SHORTEST_LEASE = 3
"""Seconds; a shorter one changes hands whenever the API server takes its time."""

_ROUNDING = 1e-9


def problems_of(settings: "Settings") -> list[str]:
    """Return everything that does not fit together, one sentence each."""
    return [
        problem
        for check in (_addresses, _test_only, _tokens, _database, _broker, _claims, _leader, _http)
        for problem in check(settings)
    ]


def missing_tokens(settings: "Settings") -> list[str]:
    """Return which tokens a process that serves HTTP outside the embedded mode lacks."""
    return [
        f"{name(field)} is not set: set it or {name(field)}_FILE to a random text of at least {SHORTEST_TOKEN} letters"
        for field in ("webhook_token", "api_token")
        if getattr(settings, field) is None
    ]


def _addresses(s: "Settings") -> Iterator[str]:
    if s.database_url is not None:
        scheme, _, rest = s.database_url.get_secret_value().partition("://")
        if scheme not in ("postgresql", "postgres", "sqlite") or not rest or (scheme == "sqlite" and rest[0] != "/"):
            yield f"{name('database_url')}: write postgresql://user:password@host/name or sqlite:///path"
    if s.database_replica_url is not None:
        for field in ("database_replica_url", "database_url"):
            url = getattr(s, field)
            if url is None or not url.get_secret_value().startswith(("postgresql://", "postgres://")):
                yield f"{name(field)}: a read replica is PostgreSQL's: write postgresql://user:password@host/name"
    if s.redis_url is not None and not s.redis_url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        yield f"{name('redis_url')}: write redis://host:6379/0, rediss:// for TLS or unix:// for a socket"
    if s.openalgo_url is None:
        if not s.embedded:
            yield f"{name('openalgo_url')} is not set: give the address of OpenAlgo, or of `ratchet simulator`"
        elif not s.broker_is_simulator:
            yield f"{name('broker', 'kind')} is openalgo, but {name('openalgo_url')} is not set: set it"
    elif urlsplit(s.openalgo_url).scheme not in ("http", "https") or not urlsplit(s.openalgo_url).hostname:
        yield f"{name('openalgo_url')}: write http://host:port or https://host"


def _test_only(s: "Settings") -> Iterator[str]:
    if not s.broker_is_simulator:
        chosen = {
            name("failpoints"): s.failpoints,
            name("broken_build"): s.broken_build,
            name("simulator", "load_accounts"): s.simulator.load_accounts and not s.embedded,
            f"{name('preset')}=test": s.preset == "test",
        }
        for setting, value in chosen.items():
            if value:
                yield f"{setting} is for tests: unset it, or set {name('broker', 'kind')}=simulator"
    try:
        failpoints.parse(s.failpoints)
    except ValueError as error:
        yield f"{name('failpoints')}: {error}"


def _tokens(s: "Settings") -> Iterator[str]:
    for field in ("webhook_token", "webhook_token_previous", "api_token", "api_token_previous"):
        token: SecretStr | None = getattr(s, field)
        if token is None:
            continue
        text = token.get_secret_value()
        if len(text) < SHORTEST_TOKEN:
            yield f"{name(field)} is shorter than {SHORTEST_TOKEN} characters: choose a longer random text"
        if not all(c.isascii() and (c.isalnum() or c in "-._~") for c in text):
            yield f"{name(field)} stands in an address: use letters, digits and - . _ ~ only"
    if s.webhook_token is not None and s.webhook_token == s.api_token:
        yield f"{name('webhook_token')} and {name('api_token')} are equal: others see the webhook's token, choose two"


def _database(s: "Settings") -> Iterator[str]:
    d = s.database
    if d.lock_timeout_seconds > d.statement_timeout_seconds:
        yield _order("database", "lock_timeout_seconds", "must not exceed", "statement_timeout_seconds")
    if d.statement_timeout_seconds > d.idle_in_transaction_timeout_seconds:
        yield _order("database", "statement_timeout_seconds", "must not exceed", "idle_in_transaction_timeout_seconds")
    if d.accept_batch_limit > d.accept_queue_limit:
        yield _order("database", "accept_batch_limit", "must not exceed", "accept_queue_limit")
    if s.redis.breaker_first_probe_seconds > s.redis.breaker_longest_probe_seconds:
        yield _order("redis", "breaker_first_probe_seconds", "must not exceed", "breaker_longest_probe_seconds")


def _broker(s: "Settings") -> Iterator[str]:
    b = s.broker
    for part in ("connect", "read", "write", "pool"):
        if getattr(b, f"{part}_timeout_seconds") > b.total_timeout_seconds:
            yield _order("broker", f"{part}_timeout_seconds", "must not exceed", "total_timeout_seconds")
    if b.drain_bound_seconds <= b.total_timeout_seconds:
        yield _order("broker", "drain_bound_seconds", "must be longer than", "total_timeout_seconds")
    if b.answered_bound_seconds > b.drain_bound_seconds:
        yield _order("broker", "answered_bound_seconds", "must not exceed", "drain_bound_seconds")
    if b.orders_per_second_for_exits >= b.orders_per_second:
        yield _order("broker", "orders_per_second_for_exits", "must be less than", "orders_per_second")
    if b.orders_per_minute < b.orders_per_second:
        yield _order("broker", "orders_per_minute", "must not be less than", "orders_per_second")
    if not s.broker_is_simulator and b.orders_per_second > BROKER_ORDERS_PER_SECOND:
        yield f"{name('broker', 'orders_per_second')}: brokers allow {BROKER_ORDERS_PER_SECOND}: choose less"


def _claims(s: "Settings") -> Iterator[str]:
    e = s.execution
    if 3 * e.heartbeat_seconds > e.claim_lease_seconds + 1e-9:
        yield (
            f"{name('execution', 'heartbeat_seconds')} must be at most a third of "
            f"{name('execution', 'claim_lease_seconds')}, so that one lost heartbeat does no harm"
        )
    if e.lease_left_to_send_seconds <= s.broker.send_window_seconds:
        yield (
            f"{name('execution', 'lease_left_to_send_seconds')} must be longer than "
            f"{name('broker', 'send_window_seconds')}, so that a claim outlives the send"
        )
    if e.lease_left_to_send_seconds + e.heartbeat_seconds > e.claim_lease_seconds:
        yield (
            f"{name('execution', 'lease_left_to_send_seconds')} and {name('execution', 'heartbeat_seconds')} together "
            f"must fit in {name('execution', 'claim_lease_seconds')}, or nothing can be sent"
        )
    if e.sweep_seconds > e.claim_lease_seconds:
        yield _order("execution", "sweep_seconds", "must not exceed", "claim_lease_seconds")
    if e.retry_first_seconds > e.retry_longest_seconds:
        yield _order("execution", "retry_first_seconds", "must not exceed", "retry_longest_seconds")
    if e.entry_age_limit_seconds > e.retention_days * 86_400:
        yield _order("execution", "entry_age_limit_seconds", "must not exceed", "retention_days")


def _leader(s: "Settings") -> Iterator[str]:
    lead = s.leader
    before = lead.renew_deadline_seconds + lead.retry_period_seconds + lead.request_timeout_seconds
    if before >= lead.lease_duration_seconds - _ROUNDING:
        yield (
            f"{name('leader', 'renew_deadline_seconds')}, {name('leader', 'retry_period_seconds')} and "
            f"{name('leader', 'request_timeout_seconds')} together must be less than "
            f"{name('leader', 'lease_duration_seconds')}: a holder stops before a standby starts"
        )
    if lead.renew_deadline_seconds < 3 * lead.retry_period_seconds - _ROUNDING:
        yield (
            f"{name('leader', 'renew_deadline_seconds')} must be at least three times "
            f"{name('leader', 'retry_period_seconds')}, so that one lost renewal does no harm"
        )
    whole = lead.lease_duration_seconds.is_integer() and lead.lease_duration_seconds >= SHORTEST_LEASE
    if not whole and s.preset != "test":
        yield f"{name('leader', 'lease_duration_seconds')}: write whole seconds, {SHORTEST_LEASE} or more"
    if lead.backend == "kubernetes" and s.embedded:
        yield f"{name('leader', 'backend')} is kubernetes, but {name('database_url')} is not set: set it"
    if lead.role_label and not lead.pod_name:
        yield f"{name('leader', 'role_label')} is set, but {name('leader', 'pod_name')} is not: set it"
    if lead.request_timeout_seconds > lead.retry_period_seconds:
        yield _order("leader", "request_timeout_seconds", "must not exceed", "retry_period_seconds")


def _http(s: "Settings") -> Iterator[str]:
    h = s.http
    if h.rate_limit_per_second and h.rate_limit_burst < h.rate_limit_per_second:
        yield _order("http", "rate_limit_burst", "must not be less than", "rate_limit_per_second")
    if h.body_timeout_seconds > h.request_timeout_seconds:
        yield _order("http", "body_timeout_seconds", "must not exceed", "request_timeout_seconds")
    if h.page_size > h.page_size_limit:
        yield _order("http", "page_size", "must not exceed", "page_size_limit")


def _order(section: str, first: str, relation: str, second: str) -> str:
    return f"{name(section, first)} {relation} {name(section, second)}: change one of them"
