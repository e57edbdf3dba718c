"""Statistics and alarms: the day in figures, the curve of equity, bars that stay away and signals that do not end.

Counted from the rows themselves, so that no process has to remember and a run that is repeated writes the same.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from ratchet.domain.calendar import IST
from ratchet.domain.equity import Equity, unrealised
from ratchet.domain.numbers import ZERO, stored
from ratchet.domain.positions import Layer
from ratchet.execution.markets import Markets
from ratchet.observability import metrics
from ratchet.persistence import claims, figures, incidents, layers, market, money
from ratchet.persistence.figures import DayFigures, RawDay
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

STALE_BARS = "stale_bars"
STUCK_SIGNALS = "stuck_signals"
STALE_AFTER_BARS = Decimal("1.5")
"""Bars that may stay away before somebody is told: between bars nothing else protects a position (D-19)."""
STUCK_AFTER = timedelta(minutes=5)


async def run(rt: Runtime) -> dict[str, int]:
    """Write the figures of today and yesterday, a point of each account's curve, and raise or end the alarms.

    Raises PersistenceError.
    """
    today = rt.clock.now().astimezone(IST).date()
    written = 0
    for day in (today - timedelta(days=1), today):
        written += await _write_day(rt, day)
    for account in sorted(rt.portfolio.accounts):
        await _snapshot(rt, account)
    stale = await _stale_bars(rt)
    stuck = await _stuck_signals(rt)
    return {"rows": written, "stale_instruments": stale, "stuck_signals": stuck}


async def _write_day(rt: Runtime, day: date) -> int:
    since = datetime(day.year, day.month, day.day, tzinfo=IST).astimezone(UTC)
    async with rt.db.reading(name="read the day") as tx:
        raw = await figures.read_day(tx, since=since, until=since + timedelta(days=1))
    rows = summarise(raw, day)

    async def work(tx: Transaction) -> int:
        for row in rows:
            await figures.save(tx, row)
        return len(rows)

    return await rt.db.run(work, name="statistics")


def summarise(raw: RawDay, day: date) -> list[DayFigures]:
    """Return one row of figures for each account and instrument that did anything that day."""
    signals: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    orders: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    latencies: dict[tuple[str, str], list[float]] = defaultdict(list)
    for account, instrument, status, many in raw.signals:
        signals[account, instrument][status] = many
    for account, instrument, state, many in raw.orders:
        orders[account, instrument][state] = many
    for account, instrument, took in raw.latencies:
        latencies[account, instrument].append(took)
    realised = {(account, instrument): amount for account, instrument, amount in raw.realised}
    trades = {(account, instrument): (won, lost) for account, instrument, won, lost in raw.trades}
    keys = sorted(signals.keys() | orders.keys() | realised.keys() | trades.keys())
    return [
        DayFigures(
            account=key[0],
            day=day,
            instrument=key[1],
            signals=signals.get(key, {}),
            orders=orders.get(key, {}),
            realised=stored(realised.get(key, ZERO)),
            latency=_percentiles(latencies.get(key, [])),
            trades=_won(*trades[key]) if key in trades else None,
        )
        for key in keys
    ]


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float] | None:
    """Return p50, p95 and p99 by nearest rank; None without a sample."""
    if not milliseconds:
        return None
    ranked = sorted(milliseconds)
    return {f"p{p}": round(ranked[max(0, -(-len(ranked) * p // 100) - 1)], 3) for p in (50, 95, 99)}


def _won(won: int, lost: int) -> dict[str, object]:
    ended = won + lost
    return {"won": won, "lost": lost, "win_ratio": None if ended == 0 else str(round(Decimal(won) / ended, 4))}


async def _snapshot(rt: Runtime, account: str) -> None:
    async def work(tx: Transaction) -> None:
        purse = await money.read(tx, account)
        held = await layers.live_of_account(tx, account)
        if not held and purse.closed_equity == purse.closed_peak and purse.reserved == 0:
            await _measure(rt, account, Equity(closed=purse.closed_equity, unrealised=ZERO), held)
            return  # nothing has moved: the curve is a line here
        seen = await market.of_account(tx, account)

        def price_of(layer: Layer) -> Decimal:
            state = seen.get(layer.instrument)
            last = None if state is None else state.last_price
            return layer.contract_entry if last is None else last

        gain = stored(unrealised(held, price_of, rt.portfolio.instruments))
        await figures.snapshot(
            tx,
            account,
            closed=purse.closed_equity,
            unrealised=gain,
            reserved=purse.reserved,
            used=purse.used,
            peak=purse.closed_peak,
        )
        await _measure(rt, account, Equity(closed=purse.closed_equity, unrealised=gain), held)

    await rt.db.run(work, name="snapshot")


async def _measure(rt: Runtime, account: str, equity: Equity, held: Sequence[Layer]) -> None:
    weight = rt.portfolio.limits.unrealised_weight
    for mode, amount in (("closed", equity.closed), ("open", equity.open), ("blended", equity.blended(weight))):
        metrics.EQUITY.labels(account, mode).set(float(amount))
    for name in rt.portfolio.instruments:
        metrics.OPEN_LAYERS.labels(account, name).set(sum(1 for layer in held if layer.instrument == name))


async def _stale_bars(rt: Runtime) -> int:
    """Tell a person where open layers have had no bar for too long while their exchange is open."""
    late: dict[tuple[str, str | None], str] = {}
    for account in sorted(rt.portfolio.accounts):
        late |= await _late_bars(rt, account)
    await _alarms(rt, STALE_BARS, late)
    return len(late)


async def _late_bars(rt: Runtime, account: str) -> dict[tuple[str, str | None], str]:
    markets, now = Markets(rt), rt.clock.now()
    async with rt.db.transaction(name="read bars") as tx:
        held = {layer.instrument: layer for layer in await layers.live_of_account(tx, account)}
        seen = await market.of_account(tx, account) if held else {}
    late: dict[tuple[str, str | None], str] = {}
    for name, layer in sorted(held.items()):
        instrument = rt.instrument(name)
        state = seen.get(name)
        last = layer.signal_ts if state is None or state.bar_ts is None else max(state.bar_ts, layer.signal_ts)
        bound = timedelta(minutes=float(instrument.bar_minutes * STALE_AFTER_BARS))
        if now - last > bound and await markets.is_open(account, instrument.exchange):
            late[account, name] = f"no bar of {name} since {last:%Y-%m-%d %H:%M} UTC: its stops do not move"
    return late


async def _stuck_signals(rt: Runtime) -> int:
    async with rt.db.single(name="open-work") as tx:
        waiting, oldest = await claims.open_work(tx)
        now = await tx.now()
    late: dict[tuple[str, str | None], str] = {}
    if oldest is not None and now - oldest > STUCK_AFTER:
        account = sorted(rt.portfolio.accounts)[0]
        late[account, None] = f"{waiting} signals are open, the oldest since {oldest:%Y-%m-%d %H:%M:%S} UTC"
    await _alarms(rt, STUCK_SIGNALS, late)
    return waiting if late else 0


async def _alarms(rt: Runtime, kind: str, late: Mapping[tuple[str, str | None], str]) -> None:
    """Open an incident for each cause that has none, and close those whose cause is gone."""

    async def work(tx: Transaction) -> None:
        told = await incidents.open_alarms(tx, kind)
        for account, instrument in told - late.keys():
            await incidents.close_alarm(tx, account, kind=kind, instrument=instrument, by=rt.boot_id)
        for (account, instrument), summary in late.items():
            if (account, instrument) not in told:
                await incidents.open_incident(
                    tx, account=account, kind=kind, summary=summary, actor=rt.boot_id, instrument=instrument
                )
                log.error(summary, extra={"event": kind, "account": account})

    await rt.db.run(work, name="alarms")
