"""Named places in the code where a test can make the process die, stall, lose its connection or raise.

Each name is a crash point of the protocol. A place that nobody armed costs one comparison with None. Arming is for
tests and is refused by the settings unless the broker is the simulator.

A specification is a comma-separated list of `POINT:ACTION`:

    K8:kill        SIGKILL to this process           K8:kill:2     at the second time it passes
    K9:cut         raise ConnectionCut               K9:cut:3      at the third time
    K5:raise       raise FailpointRaised             K5:raise:2    at the second time
    K12:pause:3    stop the whole process for 3 s    K12:pause:3:2 at the second time

Each entry fires once.
"""

import ctypes
import os
import signal
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Failpoint(StrEnum):
    """The crash points. Source: docs/protocol.md, section 7."""

    K1 = "K1"
    """Before the commit of an accept."""
    K2 = "K2"
    """The commit of an accept is in doubt."""
    K3 = "K3"
    """After the accept, before the answer to the sender."""
    K4 = "K4"
    """Claimed, before the intent is written."""
    K5 = "K5"
    """The intent's commit is in doubt, or done."""
    K6 = "K6"
    """After the baseline was read."""
    K7 = "K7"
    """The commit that permits the send is in doubt."""
    K8 = "K8"
    """After that commit, before the first byte."""
    K9 = "K9"
    """During the POST."""
    K10 = "K10"
    """The answer was read, before it is recorded."""
    K11 = "K11"
    """The commit of the answer is in doubt."""
    K12 = "K12"
    """The order is working, before its fill."""
    K13 = "K13"
    """A modify or cancel was sent and nothing came back."""
    K14 = "K14"
    """A fill was seen, before it is booked."""
    K15 = "K15"
    """Between the legs of one plan."""
    K16 = "K16"
    """An EXIT between its intents."""
    K17 = "K17"
    """A rollover, before each leg is planned and before its end is written: after the step in front of that."""
    K18 = "K18"
    """The lease was won, before the epoch is taken."""
    K19 = "K19"
    """The kill switch's commit is in doubt."""
    K20 = "K20"
    """A pod stalls anywhere while its claim runs out; a leader, as it begins any transaction of a duty."""


class Action(StrEnum):
    """What an armed failpoint does."""

    KILL = "kill"
    PAUSE = "pause"
    CUT = "cut"
    RAISE = "raise"


class ConnectionCut(ConnectionResetError):
    """The connection broke at an armed failpoint."""


class FailpointRaised(RuntimeError):
    """An armed failpoint raised."""


@dataclass(slots=True)
class Trap:
    """One armed entry: what happens at which passing of a failpoint."""

    point: Failpoint
    action: Action
    nth: int = 1
    """Fires when the point is passed for this time, counted from 1."""
    pause_seconds: float = 0.0
    passed: int = 0

    def __str__(self) -> str:
        return f"{self.point}:{self.action}"


@dataclass(slots=True)
class _Armed:
    traps: list[Trap]
    marker: Path | None


_armed: _Armed | None = None
_C = ctypes.PyDLL(None)
"""The C library, called without letting other threads run."""


async def reach(point: Failpoint) -> None:
    """Pass a crash point; does nothing unless a test armed it.

    Raises ConnectionCut or FailpointRaised when armed so; does not come back when armed to kill.
    """
    if _armed is not None:
        _pass(_armed, point)


def arm(spec: str, marker: Path | None = None) -> None:
    """Arm the entries of `spec`, replacing what was armed before; an empty one disarms.

    marker: a file that gets one line (`K8:kill`) each time an entry fires, before it acts.
    Raises ValueError naming the entry that cannot be read.
    """
    global _armed
    traps = parse(spec)
    _armed = _Armed(traps, marker) if traps else None


def disarm() -> None:
    """Make every failpoint free again."""
    global _armed
    _armed = None


def parse(spec: str) -> list[Trap]:
    """Return the entries of `spec`. Raises ValueError naming the entry that cannot be read."""
    return [_parse_entry(entry.strip()) for entry in spec.split(",") if entry.strip()]


def _parse_entry(entry: str) -> Trap:
    try:
        name, action_name, *numbers = entry.split(":")
        point, action = Failpoint(name), Action(action_name)
        pause_seconds = float(numbers.pop(0)) if action is Action.PAUSE else 0.0
        nth = int(numbers.pop(0)) if numbers else 1
    except (ValueError, IndexError) as error:
        raise ValueError(f"failpoint {entry!r}: write POINT:kill, :cut, :raise or :pause:SECONDS ({error})") from error
    if numbers or nth < 1 or not 0 <= pause_seconds < 3600:
        raise ValueError(f"failpoint {entry!r}: the count starts at 1, a pause is 0 to 3600 s, nothing follows")
    return Trap(point=point, action=action, nth=nth, pause_seconds=pause_seconds)


def _pass(armed: _Armed, point: Failpoint) -> None:
    due: Trap | None = None
    for trap in armed.traps:
        if trap.point is point:
            trap.passed += 1
            if trap.passed == trap.nth and due is None:
                due = trap
    if due is not None:
        _mark(armed.marker, due)
        _act(due)


def _mark(marker: Path | None, trap: Trap) -> None:
    if marker is None:
        return
    with marker.open("a", encoding="utf-8") as lines:
        lines.write(f"{trap}\n")


def _act(trap: Trap) -> None:
    match trap.action:
        case Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Action.PAUSE:
            _stand_still(trap.pause_seconds)
        case Action.CUT:
            raise ConnectionCut(f"connection cut at failpoint {trap.point}")
        case Action.RAISE:
            raise FailpointRaised(f"failpoint {trap.point}")


def _stand_still(seconds: float) -> None:
    """Stop every thread of the process, as SIGSTOP would: this keeps the interpreter's lock."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        _C.usleep(ctypes.c_uint(max(1, int(left * 1_000_000))))  # comes back early for a signal
