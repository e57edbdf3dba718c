"""Reconcile: the broker's books against ours. It corrects nothing; what differs becomes an incident.

First the order books of all accounts: an order that no intent owns is an incident (G4), and when every book has been
read, sending is opened on this history of the database. Then the positions, by contract.
Source: docs/protocol.md, sections 6 and 10; docs/domain.md, section 12.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ratchet.brokers.base import BrokerError, WrongMode
from ratchet.domain.calendar import IST
from ratchet.domain.reconciliation import Case, Finding, ReconciliationResult, compare, orphans
from ratchet.domain.resolving import BookOrder
from ratchet.execution import record
from ratchet.observability import metrics
from ratchet.persistence import comparing, control, events, incidents, intents
from ratchet.persistence.comparing import MISMATCH
from ratchet.persistence.timeline import server_timeline
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

T = TypeVar("T")

ORPHAN = "orphan"
"""The kind of incident that names an order at the broker that is not ours."""
CLOSED_BY = "reconcile"
"""Who closes a mismatch that is gone."""

_ACCOUNTS_AT_ONCE = 8
Contract = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look at an account's positions, without the contracts that are moving."""

    result: ReconciliationResult
    moving: set[Contract]


async def run(rt: Runtime, *, leader_epoch: int | None = None) -> dict[str, ReconciliationResult]:
    """Compare every account's books, and return the findings by account.

    An account whose books could not be read is left out: nothing follows from it. Contracts with orders under way are
    left out of the findings. leader_epoch: under which events are written down.
    Raises PersistenceError. Safe to run in two processes at once.
    """
    async with rt.db.transaction(name="timeline") as tx:
        timeline = await server_timeline(tx)
    audited = await _each(rt, lambda account: _audit_book(rt, account, leader_epoch))
    if all(audited.values()):
        await _open_sending(rt, timeline)
    looked = await _each(rt, lambda account: _compare(rt, account, leader_epoch))
    results = {account: result for account, result in looked.items() if result is not None}
    differ = sum(not result.agree for result in results.values())
    for word, many in (("agree", len(results) - differ), ("differ", differ), ("unread", len(looked) - len(results))):
        metrics.RECONCILIATIONS.labels(word).inc(many)
    return results


async def _each(rt: Runtime, work: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    gate = asyncio.Semaphore(_ACCOUNTS_AT_ONCE)

    async def one(account: str) -> T:
        async with gate:
            return await work(account)

    async with asyncio.TaskGroup() as group:
        tasks = {account: group.create_task(one(account)) for account in rt.portfolio.accounts}
    return {account: task.result() for account, task in tasks.items()}


async def _audit_book(rt: Runtime, account: str, epoch: int | None) -> bool:
    """Look for orders that nobody owns; False if the book could not be read, or in the wrong mode."""
    configured = str(rt.settings.openalgo_mode)
    try:
        mode = await rt.broker(account).mode()
        if mode != configured:
            raise WrongMode(f"OpenAlgo is in {mode} mode, {configured} is configured")
        book = await rt.broker(account).book()
    except WrongMode as error:
        await record.stop_sending(rt, account, str(error))
        return False
    except BrokerError as error:
        log.warning("the order book cannot be read", extra={"event": "no_book", "account": account, "why": str(error)})
        return False
    today = rt.clock.now().astimezone(IST).date()

    async def work(tx: Transaction) -> list[BookOrder]:
        # First who may still claim an order, then who has one: each statement sees what is committed by then, so an
        # answer recorded in between is in the second read at least. The other way round it would be in neither.
        flying = await intents.in_flight(tx, account)
        bound = await intents.bound_orders(tx, account, today)
        found = orphans(book, bound, await incidents.named_orders(tx, account), flying)
        return [order for order in found if await _adopt(tx, rt, account, order, epoch)]

    for order in await rt.db.run(work, name="orphans"):
        facts = {"event": "orphan", "account": account, "order": order.order_id, "symbol": order.symbol}
        log.error("an order at the broker is not ours", extra=facts)
    await _count_incidents(rt, account)
    return True


async def _adopt(tx: Transaction, rt: Runtime, account: str, order: BookOrder, epoch: int | None) -> bool:
    units = f"{order.side} {order.quantity} {order.symbol}"
    opened = await incidents.open_incident(
        tx,
        account=account,
        kind=ORPHAN,
        summary=f"order {order.order_id} ({units}, {order.status}) is in the broker's book and no intent owns it",
        actor=rt.boot_id,
        exchange=order.exchange,
        symbol=order.symbol,
        side=str(order.side),
        broker_order_id=order.order_id,
        data={"quantity": order.quantity, "filled": order.filled, "status": order.status, "product": order.product},
    )
    if opened:
        await _say(tx, rt, account, ORPHAN, {"order": order.order_id}, epoch)
    return opened


async def _count_incidents(rt: Runtime, account: str) -> None:
    """Too many open incidents, alarms left out, stop entries. Source: docs/protocol.md, section 8."""
    limit = rt.portfolio.limits.open_incidents

    async def work(tx: Transaction) -> int:
        switches = await control.read(tx)
        return await incidents.count_open(tx, account) if switches.entries_on else 0

    count = await rt.db.run(work, name="count-incidents")
    if count > limit:
        await record.stop_sending(rt, account, f"more than {limit} incidents are open")


async def _open_sending(rt: Runtime, timeline: str) -> None:
    """Every book was read and every stranger has its incident: sending may go on, on the history that was audited."""

    async def work(tx: Transaction) -> bool:
        if (await control.read(tx)).audited or await server_timeline(tx) != timeline:
            return False
        await control.mark_audited(tx, actor=rt.boot_id)
        return True

    if await rt.db.run(work, name="audited"):
        log.info("sending is open", extra={"event": "audited", "timeline": timeline})


async def _compare(rt: Runtime, account: str, epoch: int | None) -> ReconciliationResult | None:
    """Compare positions; a difference counts only if a second look, a little later, shows the very same one."""
    look = await _look(rt, account)
    if look is None:
        return None
    lasting: list[Finding] = []
    if look.result.differences:
        first = look.result.differences
        await rt.clock.sleep(rt.settings.broker.absence_reads_gap_seconds)
        look = await _look(rt, account)
        if look is None:
            return None
        lasting = [finding for finding in look.result.differences if finding in first]
    await _settle(rt, account, look, lasting, epoch)
    if any(finding.case is Case.SIGN_DIFFERS for finding in lasting):
        await record.stop_sending(rt, account, "a position has the opposite sign at the broker")
    return look.result


async def _look(rt: Runtime, account: str) -> _Look | None:
    """Read the broker's positions, then ours: what fills in between is in flight by then, and left out."""
    try:
        theirs = await rt.broker(account).positions()
    except BrokerError as error:
        facts = {"event": "no_positions", "account": account, "why": str(error)}
        log.warning("the positions cannot be read", extra=facts)
        return None

    async def work(tx: Transaction) -> tuple[dict[Contract, int], set[Contract]]:
        moving = await comparing.moving(tx, account, settled_seconds=rt.settings.broker.answered_bound_seconds)
        return await comparing.held(tx, account), moving

    ours, moving = await rt.db.run(work, name="positions")
    return _Look(result=compare(_still(ours, moving), _still(theirs, moving)), moving=moving)


def _still(units: Mapping[Contract, int], moving: set[Contract]) -> dict[Contract, int]:
    return {contract: quantity for contract, quantity in units.items() if contract not in moving}


async def _settle(rt: Runtime, account: str, look: _Look, lasting: Sequence[Finding], epoch: int | None) -> None:
    """Open an incident for each lasting difference, and close those whose contract agrees again."""
    differing = {(finding.exchange, finding.symbol) for finding in look.result.differences} | look.moving

    async def work(tx: Transaction) -> list[Finding]:
        for contract, incident_id in (await comparing.open_mismatches(tx, account)).items():
            if contract not in differing:
                await incidents.close(tx, incident_id, by=CLOSED_BY, decision="both books agree again")
                await _say(tx, rt, account, "agree", {"symbol": contract[1]}, epoch)
        return [finding for finding in lasting if await _differ(tx, rt, account, finding, epoch)]

    for finding in await rt.db.run(work, name="mismatches"):
        facts = {"event": "mismatch", "account": account, "symbol": finding.symbol, "case": str(finding.case)}
        log.error("our books differ from the broker's", extra={**facts, "ours": finding.ours, "theirs": finding.theirs})


async def _differ(tx: Transaction, rt: Runtime, account: str, finding: Finding, epoch: int | None) -> bool:
    opened = await incidents.open_incident(
        tx,
        account=account,
        kind=MISMATCH,
        summary=f"{finding.symbol}: we hold {finding.ours} units, the broker shows {finding.theirs}",
        actor=rt.boot_id,
        exchange=finding.exchange,
        symbol=finding.symbol,
        side=_unsafe_side(finding),
        data={"case": str(finding.case), "ours": finding.ours, "theirs": finding.theirs},
    )
    if opened:
        facts = {"symbol": finding.symbol, "ours": finding.ours, "theirs": finding.theirs}
        await _say(tx, rt, account, MISMATCH, facts, epoch)
    return opened


def _unsafe_side(finding: Finding) -> str | None:
    """Return the side on which an exit would sell more than the broker has; the incident closes that slot (G3)."""
    if finding.ours > 0 and finding.theirs < finding.ours:
        return "SELL"
    if finding.ours < 0 and finding.theirs > finding.ours:
        return "BUY"
    return None


async def _say(
    tx: Transaction, rt: Runtime, account: str, kind: str, data: dict[str, object], epoch: int | None
) -> None:
    await events.append(tx, stream=f"reconcile:{account}", kind=kind, actor=rt.boot_id, data=data, leader_epoch=epoch)
