"""Turns: a claimed signal goes as far as it can without waiting long, then is given back until it is due again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """The signal has ended, or is a person's now."""


@dataclass(frozen=True, slots=True)
class Again:
    """Nothing more can be done for `seconds`. why: for the log, a few words."""

    seconds: float
    why: str


Turn = Done | Again
DONE = Done()

BUSY_SECONDS = 0.25
"""How soon a signal looks again at a slot or lane that another one holds; whoever lets go rings as well."""
