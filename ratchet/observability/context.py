"""What each log line says about where it was written: the signal, the request, the pod, the epoch.

The values ride along in context variables, so that code far below need not be handed them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FIELDS = ("signal_id", "request_id", "pod", "epoch")

_values: dict[str, ContextVar[str | int | None]] = {name: ContextVar(name, default=None) for name in FIELDS}


@contextmanager
def bound(
    *,
    signal_id: str | None = None,
    request_id: str | None = None,
    pod: str | None = None,
    epoch: int | None = None,
) -> Iterator[None]:
    """Set the given values for this task, and for the tasks it starts, until the block ends."""
    given = {"signal_id": signal_id, "request_id": request_id, "pod": pod, "epoch": epoch}
    tokens = [(_values[name], _values[name].set(value)) for name, value in given.items() if value is not None]
    try:
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)


def current() -> dict[str, str | int]:
    """Return the values that are set here."""
    return {name: value for name, variable in _values.items() if (value := variable.get()) is not None}
