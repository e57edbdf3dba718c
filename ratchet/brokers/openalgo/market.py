"""Readers of quotes, contracts, expiries and the exchanges' hours. These answers never name a mode."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from ratchet.brokers.base import BadAnswer, Holiday, SessionTimes
from ratchet.brokers.openalgo import wire
from ratchet.brokers.openalgo.wire import Fields
from ratchet.domain.checks import Quote
from ratchet.domain.instruments import Contract


def quote(body: Fields, at: datetime) -> Quote:
    """Read a quote. at: when the answer came, for quotes carry no time. Raises BadAnswer without a price."""
    data = wire.mapping(body, "data")
    ltp = wire.number(data, "ltp")
    if ltp <= 0:
        raise BadAnswer(f"field 'ltp': no price, {ltp}")
    return Quote(ltp=ltp, bid=wire.number_or_none(data, "bid"), ask=wire.number_or_none(data, "ask"), at=at)


def contract(body: Fields) -> Contract:
    """Read a contract. Raises BadAnswer if its lot size or tick cannot be one."""
    data = wire.mapping(body, "data")
    lot_size, tick = wire.whole(data, "lotsize", "lot_size"), wire.number(data, "tick_size")
    if lot_size < 1:
        raise BadAnswer(f"field 'lotsize': cannot be {lot_size}")
    if tick <= 0:
        raise BadAnswer(f"field 'tick_size': cannot be {tick}")
    freeze = wire.whole_or_none(data, "freeze_qty") or 0
    return Contract(
        symbol=wire.text(data, "symbol"),
        exchange=wire.text(data, "exchange"),
        expiry=wire.expiry(wire.text(data, "expiry")),
        lot_size=lot_size,
        tick=tick,
        # OpenAlgo says 1 (older versions) or 0 where it knows of no freeze quantity
        freeze=freeze if freeze > 1 else 0,
    )


def expiries(body: Fields) -> Sequence[date]:
    """Read the listed expiries, soonest first."""
    return sorted(wire.expiry(listed, "data") for listed in wire.texts(body, "data"))


def timings(body: Fields) -> Sequence[SessionTimes]:
    """Read the sessions of one day."""
    return [_session(row) for row in wire.rows(body, "data")]


def holidays(body: Fields) -> Sequence[Holiday]:
    """Read the holidays of a year."""
    return [
        Holiday(
            day=wire.day(row, "date"),
            closed=wire.texts(row, "closed_exchanges"),
            open_sessions=tuple(_session(part) for part in wire.rows(row, "open_exchanges")),
        )
        for row in wire.rows(body, "data")
    ]


def _session(row: Fields) -> SessionTimes:
    return SessionTimes(
        exchange=wire.text(row, "exchange"),
        opens=wire.instant(row, "start_time"),
        closes=wire.instant(row, "end_time"),
    )
