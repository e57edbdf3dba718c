"""`python -m service`: one signal pod."""

import signal
import sys
from types import FrameType


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End before anything has begun."""
    sys.exit(0)


# Before the heavy imports: as process 1 of a container, a signal without a handler is not delivered at all.
signal.signal(signal.SIGTERM, _leave)

from service.arguments import parse  # noqa: E402

if __name__ == "__main__":
    parse()
    from service.command import main

    sys.exit(main())
