"""What a signal of each kind needs before it, which crash points it passes, and what must hold after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ratchet.failpoints import Failpoint
from tests.crash.stage import Stage, Stand
from tests.messages import PRICES, message

K = Failpoint
_DOOR = (K.K1, K.K2, K.K3)
_ORDER = (K.K4, K.K5, K.K6, K.K7, K.K8, K.K9, K.K10, K.K11, K.K12, K.K14, K.K20)
_PYRAMID = {"price": "136870", "stop": "136070", "supertrend": "136070", "atr": "820"}
_AWAY = 100
"""How far from the middle of the spread the last price is, so that a first limit rests and the second rung fills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One kind of signal. fields: of its message. left: how many layers are open when it was executed."""

    name: str
    prepare: Callable[[Stage, Stand], Awaitable[None]]
    kind: str
    instrument: str
    fields: Mapping[str, Any]
    points: tuple[Failpoint, ...]
    left: int

    @property
    def is_entry(self) -> bool:
        return self.kind != "EXIT"

    def message(self) -> bytes:
        """Return its message, stamped now."""
        return message(self.kind, self.instrument, **self.fields)

    async def market(self, stage: Stage, point: Failpoint) -> None:
        """Set the market for the crash point: an order is modified only if its first price does not fill."""
        if point is K.K13:
            middle = int(self.fields.get("price", PRICES[self.instrument][0]))
            last = middle + _AWAY if self.is_entry else middle - _AWAY
            await stage.price("GOLD_MINI", last, bid=middle - 2 * _AWAY, ask=middle + 2 * _AWAY)


async def _nothing(stage: Stage, stand: Stand) -> None:
    """An empty account."""


async def _one_layer(stage: Stage, stand: Stand) -> None:
    await stand.executed(message("BASE_ENTRY"))
    await stage.price("GOLD_MINI", int(_PYRAMID["price"]))


async def _two_layers(stage: Stage, stand: Stand) -> None:
    await _one_layer(stage, stand)
    await stand.executed(message("PYRAMID", **_PYRAMID))


async def _synthetic(stage: Stage, stand: Stand) -> None:
    await stand.executed(message("BASE_ENTRY", "BANK_NIFTY"))


FLOWS = (
    Flow(
        name="base",
        prepare=_nothing,
        kind="BASE_ENTRY",
        instrument="GOLD_MINI",
        fields={},
        points=(*_DOOR, *_ORDER, K.K13),
        left=1,
    ),
    Flow(
        name="pyramid",
        prepare=_one_layer,
        kind="PYRAMID",
        instrument="GOLD_MINI",
        fields=_PYRAMID,
        points=(*_DOOR, *_ORDER, K.K13),
        left=2,
    ),
    Flow(
        name="exit-layer",
        prepare=_two_layers,
        kind="EXIT",
        instrument="GOLD_MINI",
        fields={"position": "Long_2", "price": "136870"},
        points=(*_DOOR, *_ORDER, K.K13, K.K16),
        left=1,
    ),
    Flow(
        name="exit-all",
        prepare=_synthetic,
        kind="EXIT",
        instrument="BANK_NIFTY",
        fields={"position": "ALL"},
        points=(*_DOOR, *_ORDER, K.K16),
        left=0,
    ),
    Flow(
        name="synthetic",
        prepare=_nothing,
        kind="BASE_ENTRY",
        instrument="BANK_NIFTY",
        fields={},
        points=(*_DOOR, *_ORDER, K.K15),
        left=1,
    ),
)
