"""How often one source may call: a token bucket for each, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict


class RateLimit:
    """Token buckets by source, each kept as the one instant at which it will be full again.

    per_second: tokens added each second, 0 = no limit. burst: tokens of a full bucket. sources: buckets remembered;
    the longest unseen one is forgotten first, which can only be in that source's favour.
    """

    def __init__(self, *, per_second: int, burst: int, sources: int) -> None:
        self._per_token = 1.0 / per_second if per_second else 0.0
        self._capacity = burst * self._per_token
        self._sources = sources
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many sources are remembered."""
        return len(self._full_at)

    def take(self, source: str, now: float) -> bool:
        """Take a token of `source`; False if it has none. now: monotonic seconds."""
        if not self._per_token:
            return True
        full_at = max(self._full_at.get(source, now), now) + self._per_token
        # A hair of tolerance: sums of 1/rate must not cost the last token of a burst.
        if full_at - now > self._capacity + 1e-9:
            return False
        self._full_at[source] = full_at
        self._full_at.move_to_end(source)
        if len(self._full_at) > self._sources:
            self._full_at.popitem(last=False)
        return True
