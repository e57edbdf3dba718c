"""Closing: the next order that takes layers down, planned from what they hold now, under the lane's lock.

One order at a time for each contract, the shorts first: a synthetic's put is bought back before its call is sold. What
an order left open is planned again as the next attempt, so an exit ends only when it is flat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratchet.domain import saga
from ratchet.domain.instruments import PRODUCT, Contract
from ratchet.domain.orders import Intent, IntentState, Purpose, Side
from ratchet.domain.positions import Holding, Layer
from ratchet.domain.resolving import ABSENT_BY_TIME
from ratchet.domain.saga import RATE_REFUSAL
from ratchet.domain.slices import slices
from ratchet.execution.intend import new_id
from ratchet.persistence import intents
from ratchet.persistence.claims import Claim
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

REFUSED_TRIES = 2
"""A refused closing order is corrected once; then a person is called."""


@dataclass(frozen=True, slots=True)
class Planned:
    """An order was planned."""


@dataclass(frozen=True, slots=True)
class Flat:
    """There is nothing left to close."""


@dataclass(frozen=True, slots=True)
class Later:
    """The next order must wait for `seconds`."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """Automation stops here."""

    why: str


Plan = Planned | Flat | Later | Stuck


async def plan_next(
    tx: Transaction,
    rt: Runtime,
    claim: Claim,
    found: Sequence[Intent],
    layers: Sequence[Layer],
    freeze: Mapping[str, Contract],
    *,
    prefix: str,
    wanted: Mapping[str, int] | None = None,
) -> Plan:
    """Plan the next closing order of `layers` (newest first), which the caller holds.

    found: the signal's intents so far, none in flight. freeze: contracts by symbol, for their freeze quantity.
    prefix: begins the leg's name. wanted: units to close by symbol; None closes all.
    """
    open_units = _open(layers, wanted)
    if not open_units:
        return Flat()
    symbol, (holding, units) = min(open_units.items(), key=lambda item: item[1][0].quantity > 0)
    leg = f"{prefix}:{symbol}"
    earlier = [i for i in found if i.leg == leg]
    stuck = await _may_go_on(tx, earlier)
    if stuck is not None:
        return stuck
    side = Side.SELL if holding.quantity > 0 else Side.BUY
    planned = await intents.plan_once(
        tx,
        Intent(
            id=new_id(),
            account=claim.account,
            instrument=claim.instrument,
            origin=claim.fingerprint,
            signal_ts=claim.stamp,
            purpose=Purpose.EXIT,
            leg=leg,
            step=0 if side is Side.BUY else 1,
            attempt=len(earlier) + 1,
            exchange=holding.exchange,
            symbol=symbol,
            product=PRODUCT,
            side=side,
            quantity=_slice(units, holding.lot_size, freeze.get(symbol)),
            lot_size=holding.lot_size,
            tick=holding.tick,
            price=None,
            state=IntentState.PENDING,
            targets=tuple(layer.id for layer in layers if layer.held(symbol)),
            created_at=rt.clock.now(),
        ),
    )
    return Planned() if planned else Later(0.25, "another order of this contract and side is in flight")


def _open(layers: Sequence[Layer], wanted: Mapping[str, int] | None) -> dict[str, tuple[Holding, int]]:
    """Return one holding and the units to close, by symbol."""
    sums: dict[str, int] = {}
    sample: dict[str, Holding] = {}
    for layer in layers:
        for holding in layer.holdings:
            sums[holding.symbol] = sums.get(holding.symbol, 0) + abs(holding.quantity)
            if holding.quantity:
                sample[holding.symbol] = holding
    limits = sums if wanted is None else wanted
    units = {symbol: min(sums[symbol], limits.get(symbol, 0)) for symbol in sample}
    return {symbol: (sample[symbol], number) for symbol, number in units.items() if number > 0}


async def _may_go_on(tx: Transaction, earlier: Sequence[Intent]) -> Plan | None:
    """Judge the attempts so far: another one, a pause first, or a person."""
    if not earlier:
        return None
    last = max(earlier, key=lambda i: i.attempt)
    if last.state is IntentState.NOT_PLACED and (last.how or "").startswith(ABSENT_BY_TIME):
        return Stuck("a closing order is absent from the book, and its sender is not proven unable to write")
    refused = [
        i
        for i in earlier
        if i.state in (IntentState.REFUSED, IntentState.REJECTED) and not (i.how or "").startswith(RATE_REFUSAL)
    ]
    if len(refused) >= REFUSED_TRIES:
        return Stuck(f"the broker refused to close: {refused[-1].how}")
    if last.state is not IntentState.FILLED and last.terminal_at is not None:
        pause = saga.pause_after(earlier)
        if await tx.now() - last.terminal_at < pause:
            return Later(pause.total_seconds(), "a pause after an order that did not close everything")
    return None


def _slice(units: int, lot_size: int, contract: Contract | None) -> int:
    if units % lot_size:  # odd units of a broken lot go in one order, whatever the freeze quantity
        return units
    return slices(units, lot_size, 0 if contract is None else contract.freeze)[0]
