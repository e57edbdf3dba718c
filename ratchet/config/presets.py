"""Values that take the place of defaults: of the embedded mode, of the fast preset, which fails over
sooner at the cost of more writes, and of the test preset with its short waits.

They are weaker than anything that a person sets, and they pass the same checks.
"""

from collections.abc import Mapping
from typing import Any

EMBEDDED: Mapping[str, Any] = {
    "drain": {"delay_seconds": 0.0},
    "simulator": {"load_accounts": 50},
}

FAST: Mapping[str, Any] = {
    "leader": {
        "lease_duration_seconds": 5.0,
        "renew_deadline_seconds": 3.0,
        "retry_period_seconds": 1.0,
        "request_timeout_seconds": 0.8,
    },
}

TEST: Mapping[str, Any] = {
    "database": {"unready_after_seconds": 2.0},
    "redis": {"breaker_first_probe_seconds": 0.2, "breaker_longest_probe_seconds": 2.0},
    "broker": {
        "connect_timeout_seconds": 0.5,
        "read_timeout_seconds": 1.5,
        "write_timeout_seconds": 0.5,
        "pool_timeout_seconds": 0.5,
        "total_timeout_seconds": 2.0,
        "send_window_seconds": 0.5,
        "pause_margin_seconds": 1.0,
        "drain_bound_seconds": 3.0,
        "answered_bound_seconds": 0.5,
        "absence_reads_gap_seconds": 0.2,
        "lookup_schedule_seconds": (0.1, 0.2, 0.4, 0.8),
        "poll_interval_seconds": 0.1,
        "quote_timeout_seconds": 0.5,
        "quote_pauses_seconds": (0.1, 0.2),
        "mode_check_seconds": 2.0,
    },
    "execution": {
        "claim_lease_seconds": 1.0,
        "heartbeat_seconds": 0.3,
        "lease_left_to_send_seconds": 0.55,
        "sweep_seconds": 0.2,
        "retry_first_seconds": 0.1,
        "retry_longest_seconds": 1.0,
        "exit_page_seconds": 2.0,
        "review_margin_seconds": 2.0,
    },
    "leader": {
        "lease_duration_seconds": 1.5,
        "renew_deadline_seconds": 0.9,
        "retry_period_seconds": 0.3,
        "request_timeout_seconds": 0.25,
        "reconcile_seconds": 1.0,
        "recovery_seconds": 0.3,
        "rollover_seconds": 1.0,
        "figures_seconds": 1.0,
        "liveness_margin_seconds": 3.0,
    },
    "drain": {"delay_seconds": 0.0, "graceful_seconds": 5.0, "lifespan_seconds": 2.0},
}

CHOSEN: Mapping[Any, Mapping[str, Any]] = {"fast": FAST, "test": TEST}
"""By the name of the preset."""


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the layers as one tree of sections; a later layer is stronger."""
    tree: dict[str, Any] = {}
    for layer in layers:
        for section, values in layer.items():
            tree[section] = {**tree.get(section, {}), **values}
    return tree
