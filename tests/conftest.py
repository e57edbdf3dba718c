"""What all tests share: a clean environment, deterministic properties, the servers."""

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers.fixtures"]

KEPT = ("RATCHET_PG_BIN", "RATCHET_REDIS_BIN", "RATCHET_TEST_CLUSTER")
for _name in [name for name in os.environ if name.startswith("RATCHET_") and name not in KEPT]:
    del os.environ[_name]

# Derandomized: the same examples in each run, so that a red test is red for everyone.
settings.register_profile(
    "suite", max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of tests that take long: each run takes a part of them."""
    parser.addoption("--all-crashes", action="store_true", help="every crash point, death and kind of signal")
    parser.addoption("--kills", type=int, default=3, help="how often a service is killed in the middle of a burst (3)")
