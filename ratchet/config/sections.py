"""Settings of the things outside the process: who calls us, the database, Redis, the broker and its simulator."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from ratchet.config.fields import Count, Networks, Schedule, Seconds, SecondsOrZero, Section


class BrokerKind(StrEnum):
    """What answers at RATCHET_OPENALGO_URL."""

    OPENALGO = "openalgo"
    SIMULATOR = "simulator"


class OpenAlgoMode(StrEnum):
    """The mode that OpenAlgo must be in; another one stops entries."""

    LIVE = "live"
    ANALYZE = "analyze"


class Sessions(StrEnum):
    """When the simulated exchange is open."""

    ALWAYS = "always"
    EXCHANGE = "exchange"


class HttpSettings(Section):
    """The HTTP side of a signal pod. Its port is RATCHET_HTTP_PORT."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 in a container."""
    body_limit_bytes: int = Field(default=10_240, ge=1024, le=1_048_576)
    """Longest body of a request; a longer one is answered 413."""
    max_connections: Count = 900
    """Connections open at one time, idle ones too, below the usual limit of files; those beyond are answered 503."""
    max_open_requests: Count = 512
    """Requests in work at one time; those beyond are answered 503 at once."""
    request_timeout_seconds: Seconds = 10.0
    """Longest time from the first byte of a request to its answer."""
    body_timeout_seconds: Seconds = 5.0
    """Longest time a client may take to send its body; then 408."""
    keep_alive_seconds: Seconds = 75.0
    """How long an idle connection is kept."""
    rate_limit_per_second: int = Field(default=200, ge=0)
    """Requests per second from one source address, on average; 0 switches the limit off."""
    rate_limit_burst: Count = 2_000
    """Requests one source may send at once before the average counts; those beyond are answered 429."""
    rate_limit_sources: Count = 10_000
    """Source addresses remembered for the limit; the longest unseen one is forgotten first."""
    allow_list: Networks = ()
    """Addresses or networks that may send signals, separated by commas; empty lets everyone in."""
    trusted_proxies: Networks = ()
    """Proxies whose X-Forwarded-For is believed, separated by commas; empty believes none."""
    security_headers: bool = True
    """Send nosniff, no-store and the like with each answer."""
    page_size: Count = 50
    """Rows of a list when the caller does not say."""
    page_size_limit: Count = 500
    """Most rows of a list that a caller may ask for."""


class DatabaseSettings(Section):
    """How the database at RATCHET_DATABASE_URL is used."""

    pool_size: int = Field(default=8, ge=2, le=200)
    """Connections one process keeps; the hot paths have their own few besides."""
    pool_timeout_seconds: Seconds = 2.0
    """Longest wait for a free connection; then 503 to a sender, a later try to a worker."""
    pool_recycle_seconds: Seconds = 300.0
    """Age at which a connection is replaced, so that an old primary is left behind."""
    connect_timeout_seconds: Seconds = 5.0
    """Longest time to open a connection."""
    statement_timeout_seconds: Seconds = 5.0
    """Longest time one statement may run; COMMIT is not bounded by it."""
    lock_timeout_seconds: Seconds = 2.0
    """Longest wait for a row lock."""
    idle_in_transaction_timeout_seconds: Seconds = 10.0
    """After this time without a statement PostgreSQL ends an open transaction, and with it its locks."""
    commit_timeout_seconds: Seconds = 10.0
    """Longest wait for a COMMIT; after it the outcome is in doubt and is read back."""
    transaction_tries: int = Field(default=5, ge=1, le=20)
    """Tries of a transaction after a serialization failure, deadlock, lock time-out or lost connection."""
    retry_base_seconds: Seconds = 0.02
    """Bound of the first random pause between tries; doubles with each."""
    accept_batch_limit: int = Field(default=64, ge=1, le=1000)
    """Most signals accepted in one transaction."""
    accept_queue_limit: Count = 2_000
    """Most signals waiting to be accepted; those beyond are answered 503."""
    unready_after_seconds: Seconds = 30.0
    """A process without its database for this long says that it is not ready."""


class RedisSettings(Section):
    """How Redis at RATCHET_REDIS_URL is used. It saves work and decides nothing."""

    timeout_seconds: Seconds = 0.1
    """Longest wait for an answer; then the database is asked."""
    pool_size: Count = 16
    """Connections one process keeps."""
    key_prefix: str = "ratchet:"
    """Begins each key and channel."""
    signal_lock_seconds: Seconds = 30.0
    """Life of the lock on a signal in work; renewed while the work goes on."""
    position_lock_seconds: Seconds = 10.0
    """Life of the lock on an instrument's position; renewed as well."""
    breaker_failures: Count = 3
    """Errors in a row after which Redis is left alone."""
    breaker_first_probe_seconds: Seconds = 1.0
    """First pause before it is tried again; doubles, with jitter."""
    breaker_longest_probe_seconds: Seconds = 30.0
    """Longest pause between two tries."""
    recent_limit: Count = 10_000
    """Fingerprints that a process itself remembers."""
    recent_seconds: Seconds = 60.0
    """How long it remembers them."""


class BrokerSettings(Section):
    """How OpenAlgo at RATCHET_OPENALGO_URL is called, and what an unanswered call may still do."""

    kind: BrokerKind | None = None
    """openalgo or simulator; unset means the simulator when embedded without RATCHET_OPENALGO_URL, else openalgo."""
    connect_timeout_seconds: Seconds = 2.0
    """Longest time to open a connection."""
    read_timeout_seconds: Seconds = 8.0
    """Longest wait for the next byte of an answer."""
    write_timeout_seconds: Seconds = 2.0
    """Longest time to send a request."""
    pool_timeout_seconds: Seconds = 1.0
    """Longest wait for a free connection."""
    total_timeout_seconds: Seconds = 10.0
    """Longest time of one call in all."""
    connections: Count = 16
    """Connections one process keeps."""
    answer_limit_bytes: Count = 8_388_608
    """Longest answer that is read; a longer one is unreadable."""
    send_window_seconds: Seconds = 2.0
    """After the permission to send began, an order is posted within this time or not at all."""
    pause_margin_seconds: Seconds = 30.0
    """A sender that is not proven dead may still write this long after its window."""
    drain_bound_seconds: Seconds = 150.0
    """D: an unanswered order can appear at the broker this long after it was sent (upstream 120 s, lag, reserve)."""
    answered_bound_seconds: Seconds = 15.0
    """A: the same for a call that was answered, only not clearly."""
    absence_reads_gap_seconds: Seconds = 2.0
    """Absence is believed after two reads of the book at least this far apart."""
    lookup_schedule_seconds: Schedule = (1.0, 2.0, 4.0, 8.0, 10.0)
    """Waits between two look-ups of an unknown order; the last one repeats."""
    poll_interval_seconds: Seconds = 1.0
    """Wait between two looks at a working order."""
    quote_timeout_seconds: Seconds = 2.0
    """Longest time of one quote."""
    quote_pauses_seconds: Schedule = (0.5, 1.0)
    """Pauses between the tries of a quote; there is one try more than pauses."""
    refused_tries: Count = 3
    """Most new intents after the broker answered 429."""
    orders_per_second: Count = 8
    """Order, modify and cancel calls of one account in one second; the broker allows 10."""
    orders_per_second_for_exits: int = Field(default=2, ge=0)
    """How many of these entries may not use."""
    orders_per_minute: Count = 250
    """The same in one minute."""
    calls_per_second: Count = 40
    """Other calls of one process in one second; OpenAlgo allows 50."""
    exclusive_account: bool = True
    """Nobody else trades this account. If false, an order found in the book is no proof that it is ours."""
    mode_check_seconds: Seconds = 60.0
    """How often the mode of OpenAlgo is read, besides on each answer."""
    day_end_margin_seconds: SecondsOrZero = 1_800.0
    """An order that is still unknown this long before the session ends goes to a person, while one can look."""


class SimulatorSettings(Section):
    """The simulated broker. Its port is RATCHET_SIMULATOR_PORT."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    sessions: Sessions = Sessions.ALWAYS
    """always: the exchange never closes; exchange: real hours and holidays."""
    load_accounts: int = Field(default=0, ge=0, le=1000)
    """Accounts load-01, load-02 ... that are generated for load tests; 50 when embedded."""
    orders_per_second: Count = 10
    """Order calls per second and account before it answers 429."""
    calls_per_second: Count = 50
    """Other calls per second and account before it answers 429."""
    file: Path | None = None
    """Its SQLite file; unset: broker.db in RATCHET_HOME."""
