"""Settings of the work itself: executing signals, leading, draining."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from ratchet.config.fields import Count, Port, Seconds, SecondsOrZero, Section


class ExecutionSettings(Section):
    """How workers claim and execute signals."""

    claim_lease_seconds: Seconds = 15.0
    """A claimed signal is free again after this time without a heartbeat; chosen for quick recovery, not for safety."""
    heartbeat_seconds: Seconds = 5.0
    """How often a worker extends its claims."""
    lease_left_to_send_seconds: Seconds = 3.0
    """An order is not sent when less than this is left of the claim."""
    sweep_seconds: Seconds = 2.0
    """How often a worker looks for work without being woken; jitter is added."""
    concurrency: Count = 8
    """Signals one worker has in work at one time."""
    claim_batch: Count = 8
    """Signals one claim takes at most."""
    entry_age_limit_seconds: Seconds = 60.0
    """An entry this old or older is not sent; exits have no age."""
    future_tolerance_seconds: SecondsOrZero = 5.0
    """How far ahead of our clock a signal's stamp may be."""
    max_attempts: Count = 5
    """A signal that could not be processed this often ends as failed: poisoned."""
    retry_first_seconds: Seconds = 1.0
    """Bound of the first random pause after a failed attempt; doubles with each."""
    retry_longest_seconds: Seconds = 60.0
    """Longest pause between two attempts."""
    exit_page_seconds: Seconds = 30.0
    """A person is called when an exit has been unknown this long."""
    review_margin_seconds: Seconds = 60.0
    """An order still unknown at D plus this goes to a person."""
    retention_days: int = Field(default=90, ge=1)
    """How long signals are kept; an older signal is answered and ends as expired."""


class LeaderBackend(StrEnum):
    """Where the lease is kept."""

    AUTO = "auto"
    DATABASE = "database"
    KUBERNETES = "kubernetes"


class LeaderSettings(Section):
    """Leadership, and what the leader does how often."""

    backend: LeaderBackend = LeaderBackend.AUTO
    """Where the lease is: database, kubernetes, or auto: kubernetes in a pod with a service account, else database."""
    namespace: str | None = None
    """Namespace of the Lease object; unset: the pod's own, or default."""
    lease_name: str = Field(default="ratchet-leader", pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
    """Name of the Lease object."""
    kubeconfig: Path | None = None
    """File that says how to reach the API server from outside the cluster; unset: the pod's service account."""
    pod_name: str | None = None
    """This pod's name, by which a person hands the leadership over; unset: the host's name."""
    pod_uid: str | None = None
    """This pod's uid: a restarted container takes over at once from the one before it in the same pod."""
    role_label: bool = False
    """Label the pod that leads with ratchet.dev/role=leader; needs pod_name, and the right to patch pods."""
    lease_duration_seconds: Seconds = 10.0
    """How long a standby waits after the last renewal it saw before it takes over."""
    renew_deadline_seconds: Seconds = 6.0
    """How long the holder tries to renew before it stops leading by itself."""
    retry_period_seconds: Seconds = 2.0
    """Wait between two tries to acquire or renew."""
    request_timeout_seconds: Seconds = 1.5
    """Longest time of one try."""
    reconcile_seconds: Seconds = 60.0
    """How often the broker's books are compared with ours while the session is open."""
    recovery_seconds: Seconds = 5.0
    """How often unfinished orders of others are looked for."""
    rollover_seconds: Seconds = 60.0
    """How often layers that near their contract's expiry are looked for, and unfinished rollovers taken up."""
    figures_seconds: Seconds = 60.0
    """How often the day's figures and the curve of equity are written, and alarms for what stays away are raised."""
    housekeeping_seconds: Seconds = 3_600.0
    """How often partitions are made ahead and old rows are dropped."""
    partitions_ahead_months: int = Field(default=3, ge=1, le=24)
    """Monthly partitions of signal_log that exist in advance."""
    liveness_margin_seconds: Seconds = 20.0
    """A holder that has not renewed for the lease and this time is not alive."""
    http_port: Port = 8081
    """Port of the leader's probes and metrics; 0 takes a free one."""


class DrainSettings(Section):
    """What a process does between SIGTERM and its end."""

    delay_seconds: SecondsOrZero = 5.0
    """How long it keeps answering after SIGTERM, until balancers have noticed; 0 when embedded."""
    graceful_seconds: Seconds = 20.0
    """Then: longest time for open requests and orders in flight to end."""
    lifespan_seconds: Seconds = 5.0
    """Then: longest time to close each pool of connections."""
