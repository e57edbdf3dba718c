"""What a duty may do at the broker: read always, change only while this process has the right to act as the leader."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from uuid import uuid4

import pytest

from leader.door import ActingBroker
from leader.leadership import Leadership
from ratchet.brokers.base import Accepted, NotSent, Order, Outcome
from ratchet.domain.identity import BrokerOrderId, IntentId
from ratchet.domain.orders import Side
from ratchet.persistence.leases import FencedOut
from tests.fakes.broker import MemoryBroker
from tests.fakes.clock import ManualClock

ORDER = Order(
    intent_id=IntentId(uuid4()),
    exchange="MCX",
    symbol="GOLDM05FEB27FUT",
    product="NRML",
    side=Side.SELL,
    quantity=100,
    price=Decimal(134600),
)
ID = BrokerOrderId("7001")


class Counting(MemoryBroker):
    """Takes everything, and notes each call that changes something."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[str, float | None]] = []

    async def place(self, order: Order, *, within: float | None = None) -> Outcome:
        self.changes.append(("place", within))
        return Accepted(ID)

    async def modify(self, order_id: BrokerOrderId, order: Order) -> None:
        self.changes.append(("modify", None))

    async def cancel(self, order_id: BrokerOrderId) -> None:
        self.changes.append(("cancel", None))


@pytest.fixture
def inner() -> Counting:
    return Counting()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(inner: Counting, clock: ManualClock) -> ActingBroker:
    """A broker as a duty has it, of a leader whose right to act lasts 5 s."""
    return ActingBroker(inner, Leadership(epoch=3, until=clock.monotonic() + 5.0, now=clock.monotonic))


async def test_a_leader_changes_what_it_wants_while_it_may_act(broker: ActingBroker, inner: Counting) -> None:
    assert await broker.place(ORDER) == Accepted(ID)
    await broker.modify(ID, ORDER)
    await broker.cancel(ID)
    assert [name for name, _ in inner.changes] == ["place", "modify", "cancel"]


async def test_the_first_byte_of_an_order_leaves_within_the_right_to_act(
    broker: ActingBroker, inner: Counting, clock: ManualClock
) -> None:
    await clock.advance(4.0)
    await broker.place(ORDER, within=3.0)
    await broker.place(ORDER, within=0.5)
    await broker.place(ORDER)
    assert [within for _, within in inner.changes] == [1.0, 0.5, 1.0]


async def test_past_the_right_to_act_no_order_is_sent_and_that_is_known(
    broker: ActingBroker, inner: Counting, clock: ManualClock
) -> None:
    await clock.advance(5.0)
    assert isinstance(await broker.place(ORDER), NotSent)
    assert inner.changes == []


@pytest.mark.parametrize(
    "change", [lambda broker: broker.modify(ID, ORDER), lambda broker: broker.cancel(ID)], ids=["modify", "cancel"]
)
async def test_past_the_right_to_act_nothing_is_changed(
    change: Callable[[ActingBroker], Awaitable[None]], broker: ActingBroker, inner: Counting, clock: ManualClock
) -> None:
    await clock.advance(5.0)
    with pytest.raises(FencedOut, match="epoch 3"):
        await change(broker)
    assert inner.changes == []


async def test_books_are_read_all_the_same(broker: ActingBroker, inner: Counting, clock: ManualClock) -> None:
    await clock.advance(5.0)
    assert await broker.positions() == await inner.positions()
    assert await broker.book() == await inner.book()
