"""What people and pages read: lists with filters, one page after the other, and the whole history of one signal.

Read-only. Pages follow the last row's key, never an offset, so rows that arrive meanwhile shift nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    Select,
    String,
    Table,
    Uuid,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.sql.elements import SQLColumnExpression
from sqlalchemy.types import TypeEngine

from ratchet.persistence.events import signal_stream
from ratchet.persistence.tables import (
    control,
    event_log,
    fills,
    holdings,
    incident,
    leader_fence,
    order_intent,
    portfolio,
    positions,
    signal_log,
)
from ratchet.persistence.transaction import Row, Transaction
from ratchet.persistence.types import UtcDateTime

_EVENTS_LIMIT = 1_000
_INTENTS_LIMIT = 500
_FILLS_LIMIT = 5_000


_KINDS: Mapping[type[TypeEngine[Any]], type] = {BigInteger: int, UtcDateTime: datetime, Uuid: UUID}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listing:
    """A list that can be paged. key: its order, ending in something unique. newest_first: whether that order descends.

    filters: columns that may be compared with a value. conditions: filters of another kind, by name; one that binds no
    value is a flag.
    """

    table: Table
    columns: tuple[Column[Any], ...]
    key: tuple[Column[Any], ...]
    newest_first: bool = True
    filters: tuple[str, ...] = ()
    conditions: Mapping[str, ColumnElement[bool]] = field(default_factory=dict)

    @property
    def key_kinds(self) -> tuple[type, ...]:
        """Return what the parts of a key are: whole numbers, instants, ids or names."""
        return tuple(_KINDS.get(type(column.type), str) for column in self.key)

    def key_of(self, row: Row) -> tuple[Any, ...]:
        """Return the place of a row: what the next page starts after."""
        return tuple(row[column.name] for column in self.key)


def _all_but(table: Table, *left_out: str) -> tuple[Column[Any], ...]:
    return tuple(column for column in table.c if column.name not in left_out)


_s = signal_log.c

SIGNALS = Listing(
    table=signal_log,
    columns=_all_but(signal_log, "payload", "payload_hash", "owner", "epoch", "lease_until", "detail", "error"),
    key=(_s.seq, _s.id),
    filters=("account", "strategy", "instrument", "kind", "layer", "status", "reason", "source"),
    conditions={
        "since": _s.received_at >= bindparam("since", type_=_s.received_at.type),
        "until": _s.received_at < bindparam("until", type_=_s.received_at.type),
    },
)
POSITIONS = Listing(
    table=positions,
    columns=_all_but(positions, "version"),
    key=(positions.c.entry_at, positions.c.id),
    filters=("account", "strategy", "instrument", "status", "layer"),
    conditions={"live": positions.c.status != "closed", "not_live": positions.c.status == "closed"},
)
ORDERS = Listing(
    table=order_intent,
    columns=_all_but(order_intent, "baseline", "good_looks", "targets", "looks", "seen_end"),
    key=(order_intent.c.created_at, order_intent.c.id),
    filters=("account", "instrument", "symbol", "side", "state", "purpose", "origin", "broker_order_id"),
)
PORTFOLIOS = Listing(
    table=portfolio,
    columns=_all_but(portfolio),
    key=(portfolio.c.account,),
    newest_first=False,
    filters=("account",),
)
INCIDENTS = Listing(
    table=incident,
    columns=_all_but(incident),
    key=(incident.c.opened_at, incident.c.id),
    filters=("account", "instrument", "symbol", "kind"),
    conditions={"open": incident.c.closed_at.is_(None), "not_open": incident.c.closed_at.is_not(None)},
)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a list, and where the next page starts, if there is one."""

    rows: Sequence[Row]
    next_after: tuple[Any, ...] | None


async def page(
    tx: Transaction, listing: Listing, *, where: Mapping[str, Any], after: tuple[Any, ...] | None, limit: int
) -> Page:
    """Return up to `limit` rows behind `after`. where: values of the listing's filters; a flag's value is ignored.

    Raises ValueError for a filter that the listing does not have.
    """
    statement = _statement(listing, tuple(sorted(where)), after is not None)
    values = {name: value for name, value in where.items() if name not in _flags(listing)}
    for index, value in enumerate(after or ()):
        values[f"after_{index}"] = value
    rows = await tx.all(statement, **values, row_limit=limit + 1)
    more = len(rows) > limit
    shown = rows[:limit]
    return Page(shown, listing.key_of(shown[-1]) if more and shown else None)


def _flags(listing: Listing) -> frozenset[str]:
    """Return the filters that bind no value."""
    return frozenset(name for name, condition in listing.conditions.items() if name not in condition.compile().params)


# One statement for each set of filters: statements are known by identity, a new one each time would be compiled again.
@lru_cache(maxsize=512)
def _statement(listing: Listing, filters: tuple[str, ...], continued: bool) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = []
    for name in filters:
        if name in listing.conditions:
            conditions.append(listing.conditions[name])
        elif name in listing.filters:
            column = listing.table.c[name]
            conditions.append(column == bindparam(name, type_=column.type))
        else:
            raise ValueError(f"{listing.table.name} has no filter {name}")
    if continued:
        conditions.append(_behind(listing))
    order = [column.desc() if listing.newest_first else column.asc() for column in listing.key]
    return select(*listing.columns).where(*conditions).order_by(*order).limit(bindparam("row_limit"))


def _behind(listing: Listing) -> ColumnElement[bool]:
    """Return the condition for rows behind the key in after_0, after_1 ..., spelled out so that an index serves it."""
    ways: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for index, column in enumerate(listing.key):
        place: SQLColumnExpression[Any] = bindparam(f"after_{index}", type_=column.type)
        ways.append(and_(*equal, column < place if listing.newest_first else column > place))
        equal.append(column == place)
    return or_(*ways)


_HOLDINGS = (
    select(holdings)
    .where(holdings.c.position_id.in_(bindparam("position_ids", expanding=True, type_=Uuid())))
    .order_by(holdings.c.position_id, holdings.c.symbol)
)


async def holdings_of(tx: Transaction, position_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """Return what each of these positions holds."""
    found: dict[UUID, list[Row]] = {}
    if position_ids:
        for row in await tx.all(_HOLDINGS, position_ids=list(position_ids)):
            found.setdefault(row["position_id"], []).append(row)
    return found


_SIGNAL = select(signal_log).where(_s.id == bindparam("id", type_=Uuid()))
_EVENTS = (
    select(event_log)
    .where(event_log.c.stream.in_([bindparam("stream"), bindparam("repeats")]))
    .order_by(event_log.c.at, event_log.c.stream, event_log.c.seq)
    .limit(_EVENTS_LIMIT)
)
_OF_SIGNAL = (order_intent.c.account == bindparam("account")) & (order_intent.c.origin == bindparam("origin"))
_INTENTS = (
    select(*ORDERS.columns)
    .where(_OF_SIGNAL)
    .order_by(order_intent.c.created_at, order_intent.c.step, order_intent.c.leg, order_intent.c.attempt)
    .limit(_INTENTS_LIMIT)
)
_JOINED: FromClause = fills.join(order_intent, fills.c.intent_id == order_intent.c.id)
_FILLS = (
    select(fills)
    .select_from(_JOINED)
    .where(_OF_SIGNAL)
    .order_by(fills.c.at, fills.c.intent_id, fills.c.cum_filled)
    .limit(_FILLS_LIMIT)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One signal with everything that happened because of it, in order."""

    signal: Row
    events: Sequence[Row]
    intents: Sequence[Row]
    fills: Sequence[Row]


async def history(tx: Transaction, signal_id: UUID) -> History | None:
    """Return the history of a signal, or None if there is no such signal."""
    signal = await tx.first(_SIGNAL, id=signal_id)
    if signal is None:
        return None
    account, origin = signal["account"], signal["fingerprint"]
    return History(
        signal=signal,
        events=await tx.all(_EVENTS, stream=signal_stream(account, origin), repeats=f"duplicates:{signal_id}"),
        intents=await tx.all(_INTENTS, account=account, origin=origin),
        fills=await tx.all(_FILLS, account=account, origin=origin),
    )


_REVISION = select(literal_column("version_num", String)).select_from(text("alembic_version"))
_WRITABLE = {
    "postgresql": select(
        and_(
            not_(func.pg_is_in_recovery()),
            func.current_setting(literal("default_transaction_read_only"), type_=String) == "off",
        ).label("writable")
    ),
    "sqlite": select(literal(True).label("writable")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the installation stands. revision: of the schema. writable: it is a primary that takes writes.

    leadership: each role's holder and epoch. sending: the kill switch.
    """

    revision: str | None
    writable: bool
    leadership: Mapping[str, Mapping[str, Any]]
    sending: Mapping[str, Any]


async def standing(tx: Transaction) -> Standing:
    """Return how the installation stands. Raises StatementFailed if the database was never migrated."""
    revision = await tx.first(_REVISION)
    server = await tx.one(_WRITABLE[tx.dialect])
    roles = await tx.all(select(leader_fence.c.role, leader_fence.c.holder, leader_fence.c.epoch))
    switch = await tx.first(select(control.c.entries_on, control.c.exits_on, control.c.reason, control.c.changed_at))
    return Standing(
        revision=None if revision is None else revision["version_num"],
        writable=bool(server["writable"]),
        leadership={row["role"]: {"holder": row["holder"], "epoch": row["epoch"]} for row in roles},
        sending={} if switch is None else dict(switch),
    )
