"""Moving-window limits of one second, a bucket per account, caller's address and endpoint."""

from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 1.0

BucketKey = tuple[str, str, str]
"""(account, caller's address, endpoint). A real server has one account; here each account stands for a server."""


class RateLimits:
    """Counts calls that were let through; a call that was turned away does not prolong the wait."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Start with empty windows."""
        self._monotonic = monotonic
        self._passed: dict[BucketKey, deque[float]] = {}

    def allow(self, key: BucketKey, limit: int) -> bool:
        """Tell whether a call may pass, and count it if so."""
        now = self._monotonic()
        passed = self._passed.setdefault(key, deque())
        while passed and passed[0] <= now - WINDOW_SECONDS:
            passed.popleft()
        if len(passed) >= limit:
            return False
        passed.append(now)
        return True
