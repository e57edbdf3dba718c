"""End of day: shortly before a session closes, the chart's last view becomes at most one trade of each instrument.

The trade enters as an ordinary signal by the executor, stamped 45 s before the close, so that N pods insert one.
Source: docs/domain.md, sections 2.3 and 10.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ratchet.brokers.base import BrokerError
from ratchet.domain import endofday
from ratchet.domain.endofday import Action
from ratchet.domain.identity import AccountId, StrategyId, fingerprint
from ratchet.domain.signals import SignalKind, Source
from ratchet.domain.sizing import stop_for
from ratchet.domain.webhook import InvalidSignal, parse
from ratchet.execution.accept import Acceptor
from ratchet.execution.bars import Accept
from ratchet.execution.markets import Markets
from ratchet.execution.submission import Submission
from ratchet.persistence import layers, market, signals
from ratchet.persistence.market import MarketState
from ratchet.persistence.transaction import Transaction
from ratchet.runtime import Runtime

log = logging.getLogger(__name__)

REASON = "EOD_PRE_CLOSE"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What is to be done, and for which strategy."""

    action: Action
    strategy: StrategyId


async def run(rt: Runtime, accept: Accept | None = None) -> int:
    """Hand in what is due now; returns how many signals were handed in.

    accept: the acceptor of this process, or None to store each signal alone.
    Raises PersistenceError, NotDurable. Safe to repeat and to run in many processes at once.
    """
    hand_in = Acceptor(rt).accept_alone if accept is None else accept
    markets = Markets(rt)
    handed = 0
    for account in rt.portfolio.accounts:
        async with rt.db.single(name="views") as tx:
            views = await market.of_account(tx, account)
        for seen in views.values():
            submission = await _due(rt, markets, AccountId(account), seen)
            if submission is None:
                continue
            receipt = await hand_in(submission)
            handed += 1
            facts: dict[str, object] = {
                "event": "end_of_day",
                "account": account,
                "signal_id": str(receipt.id),
                "duplicate": receipt.duplicate,
            }
            log.info("end of day: %s %s", submission.signal.kind, seen.instrument, extra=facts)
    return handed


async def _due(rt: Runtime, markets: Markets, account: AccountId, seen: MarketState) -> Submission | None:
    now = rt.clock.now()
    if seen.view is None or seen.view_ts is None or now - seen.view_ts > endofday.USABLE:
        return None
    if seen.instrument not in rt.portfolio.instruments:
        return None
    try:
        close = await markets.session_close(account, rt.instrument(seen.instrument).exchange)
    except BrokerError as error:
        log.warning("the session's close is not known", extra={"event": "no_timings", "why": str(error)})
        return None
    stamp = endofday.due(now, close)
    if stamp is None:
        return None
    wish = await _wish(rt, account, seen, stamp)
    if wish is None:
        return None
    try:
        parsed = parse(json.dumps(_message(rt, seen, wish.action, stamp)).encode())
    except InvalidSignal as error:  # a stop below zero: the rules allow no such trade
        log.warning("no end-of-day trade", extra={"event": "end_of_day_invalid", "why": str(error)})
        return None
    return Submission(
        account=account,
        strategy=wish.strategy,
        signal=parsed.signal,
        payload_hash=parsed.payload_hash,
        source=Source.EXECUTOR,
        request_id=f"eod-{stamp:%Y%m%dT%H%M%S}",
    )


async def _wish(rt: Runtime, account: AccountId, seen: MarketState, stamp: datetime) -> _Wish | None:
    """Derive the action from the position. What was handed in is looked for last: its effect is no new occasion."""
    instrument = rt.instrument(seen.instrument)
    view = fingerprint(seen.instrument, SignalKind.EOD_MONITOR, None, seen.view_ts or stamp)

    async def work(tx: Transaction) -> _Wish | None:
        live = await layers.live_of_lane(tx, account, seen.instrument)
        trade = await layers.trade_state(tx, account, seen.instrument)
        action = endofday.action(
            (seen.view or {})["conditions"],
            in_position=bool(live),
            layers_opened=trade.layers_opened,
            max_pyramids=instrument.max_pyramids,
        )
        scout = await signals.by_fingerprint(tx, account, view)
        if action is None or scout is None or await signals.executor_traded(tx, account, seen.instrument, stamp):
            return None
        return _Wish(action=action, strategy=scout.strategy)

    return await rt.db.run(work, name="end-of-day")


def _message(rt: Runtime, seen: MarketState, action: Action, stamp: datetime) -> Mapping[str, Any]:
    """Return the trade as a chart would send it; numbers as text, which keeps them exact."""
    view = seen.view or {}
    indicators = view["indicators"]
    price, atr = Decimal(str(view["price"])), Decimal(str(indicators["atr"]))
    entry = action.kind is not SignalKind.EXIT
    return {
        "type": str(action.kind),
        "instrument": seen.instrument,
        "position": action.position,
        "timestamp": stamp.isoformat(),
        "price": str(price),
        "stop": str(stop_for(None, price, atr, rt.instrument(seen.instrument))) if entry else "0",
        "lots": 0,
        "atr": str(atr),
        "er": str(indicators["er"]),
        "supertrend": str(indicators["supertrend"]),
        "reason": REASON,
    }
