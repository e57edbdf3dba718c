"""Hints between processes that save work: seen before, somebody is at it, there is something to do.

Belongs here: Redis, what stands in for it when there is none, and the in-process cache of recent signals.
`RedisHints` is imported from its module, so that whoever has no Redis does not load the client.
Does not belong here: any decision. Nothing is admitted, refused or released on a hint's word.
Source: docs/protocol.md, section 10.
"""

from ratchet.coordination.base import Hints, Hold, Observe
from ratchet.coordination.fallback import NoHints
from ratchet.coordination.recent import Recent, Seen

__all__ = ["Hints", "Hold", "NoHints", "Observe", "Recent", "Seen"]
