"""T1, the durable accept: a batch of signals in one transaction, each new exactly once.

The first statement locks the batch's dedup keys in sorted order, the next one looks for what is there, the one after
inserts. Never lock and look in one statement: under READ COMMITTED a statement that waited for a lock still reads its
old snapshot. Source: docs/protocol.md, section 4.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, DateTime, Double, String, Text, Uuid, bindparam, column, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from ratchet.domain.identity import Fingerprint
from ratchet.persistence.transaction import Row, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSignal:
    """One row to insert. layer: None for scouts and bars, which have no 60 s window. status: accepted, or its end."""

    id: UUID
    account: str
    strategy: str
    fingerprint: Fingerprint
    stamp: datetime
    instrument: str
    kind: str
    layer: str | None
    source: str
    payload: dict[str, Any]
    payload_hash: str
    request_id: str
    status: str
    reason: str | None
    terminal: bool

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The dedup key."""
        return (self.account, self.instrument, self.kind, self.layer or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A stored signal that makes a new one a duplicate."""

    id: UUID
    fingerprint: str
    account: str
    status: str
    payload_hash: str


Place = tuple[str, str, datetime]
"""Where a signal is stored: account, fingerprint, stamp."""

Note = tuple[Known, str, dict[str, Any]]
"""A redelivery: the stored signal, `duplicate` or `conflict`, facts."""


_BATCH_PG = "jsonb_to_recordset(CAST(:batch AS jsonb)) AS b"
_KEYS_PG = f"{_BATCH_PG}(account text, instrument text, kind text, layer text)"
_KEYS_LITE = (
    "(SELECT value ->> 'account' AS account, value ->> 'instrument' AS instrument, value ->> 'kind' AS kind,"
    " value ->> 'layer' AS layer FROM json_each(:batch)) AS b"
)
_SEEN_PG = (
    f"{_BATCH_PG}(n int, account text, instrument text, kind text, layer text, fingerprint text, stamp timestamptz,"
    " window_from timestamptz, window_to timestamptz)"
)
_SEEN_LITE = (
    "(SELECT value ->> 'n' AS n, value ->> 'account' AS account, value ->> 'instrument' AS instrument,"
    " value ->> 'kind' AS kind, value ->> 'layer' AS layer, value ->> 'fingerprint' AS fingerprint,"
    " value ->> 'stamp' AS stamp, value ->> 'window_from' AS window_from, value ->> 'window_to' AS window_to"
    " FROM json_each(:batch)) AS b"
)
_ROWS_PG = (
    f"{_BATCH_PG}(id uuid, account text, strategy text, fingerprint text, stamp timestamptz, instrument text,"
    " kind text, layer text, source text, payload jsonb, payload_hash text, request_id text, status text,"
    " reason text, terminal boolean, actor text, stream text)"
)


def _for(postgresql: str, sqlite: str, *columns: Any) -> dict[str, Any]:
    statements = {"postgresql": text(postgresql), "sqlite": text(sqlite)}
    bound = {name: s.bindparams(bindparam("batch", type_=Text)) for name, s in statements.items()}
    return {name: s.columns(*columns) if columns else s for name, s in bound.items()}


_LOCK_KEYS = _for(
    f"SELECT d.account, d.instrument, d.kind, d.layer FROM dedup_key d JOIN {_KEYS_PG} USING"
    " (account, instrument, kind, layer) ORDER BY 1, 2, 3, 4 FOR UPDATE OF d",
    f"SELECT d.account, d.instrument, d.kind, d.layer FROM dedup_key d JOIN {_KEYS_LITE} USING"
    " (account, instrument, kind, layer)",
    column("account", String),
    column("instrument", String),
    column("kind", String),
    column("layer", String),
)
_MAKE_KEYS = _for(
    "INSERT INTO dedup_key (account, instrument, kind, layer) SELECT account, instrument, kind, layer"
    f" FROM {_KEYS_PG} ORDER BY 1, 2, 3, 4 ON CONFLICT DO NOTHING",
    "INSERT INTO dedup_key (account, instrument, kind, layer) SELECT account, instrument, kind, layer"
    f" FROM {_KEYS_LITE} WHERE true ON CONFLICT DO NOTHING",
)
_WINDOW = (
    " JOIN signal_log s ON s.account = b.account AND s.instrument = b.instrument AND s.kind = b.kind"
    " AND s.layer = b.layer AND s.signal_ts BETWEEN b.window_from AND b.window_to"
    " WHERE s.fingerprint <> b.fingerprint"
    " AND (s.kind <> 'EXIT' OR s.status IN ('accepted', 'processing', 'review'))"
)
_EXACT = " JOIN signal_log s ON s.account = b.account AND s.fingerprint = b.fingerprint AND s.signal_ts = b.stamp"
_FOUND = "b.n AS n, s.id AS id, s.account AS account, s.fingerprint AS fingerprint, s.status AS status,"
_FOUND += " s.payload_hash AS payload_hash"
_SEEN = _for(
    f"SELECT {_FOUND}, true AS exact FROM {_SEEN_PG}{_EXACT} UNION ALL"
    f" SELECT {_FOUND}, false AS exact FROM {_SEEN_PG}{_WINDOW}",
    f"SELECT {_FOUND}, 1 AS exact FROM {_SEEN_LITE}{_EXACT} UNION ALL"
    f" SELECT {_FOUND}, 0 AS exact FROM {_SEEN_LITE}{_WINDOW}",
    column("n", BigInteger),
    column("id", Uuid),
    column("account", String),
    column("fingerprint", String),
    column("status", String),
    column("payload_hash", String),
    column("exact", Boolean),
)
_STORED = _for(
    f"SELECT {_FOUND} FROM {_BATCH_PG}(n int, account text, fingerprint text, stamp timestamptz){_EXACT}",
    f"SELECT {_FOUND} FROM {_SEEN_LITE}{_EXACT}",
    column("n", BigInteger),
    column("id", Uuid),
    column("account", String),
    column("fingerprint", String),
    column("status", String),
    column("payload_hash", String),
)
_ARRAYS: dict[str, TypeEngine[Any]] = {
    "ids": Uuid(),
    "accounts": Text(),
    "strategies": Text(),
    "fingerprints": Text(),
    "stamps": DateTime(timezone=True),
    "instruments": Text(),
    "kinds": Text(),
    "layers": Text(),
    "sources": Text(),
    "payloads": Text(),
    "payload_hashes": Text(),
    "request_ids": Text(),
    "statuses": Text(),
    "reasons": Text(),
    "terminals": Boolean(),
    "key_accounts": Text(),
    "key_instruments": Text(),
    "key_kinds": Text(),
    "key_layers": Text(),
}
_ACCEPT = (
    text(f"SELECT * FROM accept_rows({', '.join(f':{name}' for name in _ARRAYS)}, :within_seconds, :may_insert, :by)")
    .bindparams(
        *(bindparam(name, type_=ARRAY(kind)) for name, kind in _ARRAYS.items()),
        bindparam("within_seconds", type_=Double),
        bindparam("may_insert", type_=Boolean),
        bindparam("by", type_=Text),
    )
    .columns(
        column("n", BigInteger),
        column("id", Uuid),
        column("account", String),
        column("fingerprint", String),
        column("status", String),
        column("payload_hash", String),
        column("exact", Boolean),
    )
)
_COLUMNS = (
    "account, fingerprint, signal_ts, id, seq, strategy, instrument, kind, layer, source, payload, payload_hash,"
    " status, reason, request_id, received_at, lease_until, terminal_at"
)
_INSERT = _for(
    f"WITH new AS (INSERT INTO signal_log ({_COLUMNS}) SELECT account, fingerprint, stamp, id, nextval('signal_seq'),"
    " strategy, instrument, kind, layer, source, payload, payload_hash, status, reason, request_id, clock_timestamp(),"
    f" clock_timestamp(), CASE WHEN terminal THEN clock_timestamp() END FROM {_ROWS_PG}"
    " ON CONFLICT (account, fingerprint, signal_ts) DO NOTHING RETURNING account, fingerprint),"
    " said AS (INSERT INTO event_log (stream, seq, at, kind, data, actor) SELECT b.stream, 1, clock_timestamp(),"
    " CASE WHEN b.terminal THEN 'terminal:' || b.status ELSE 'accepted' END,"
    " jsonb_build_object('source', b.source, 'request_id', b.request_id, 'reason', b.reason), b.actor"
    f" FROM {_ROWS_PG} JOIN new USING (account, fingerprint))"
    " SELECT account, fingerprint FROM new",
    f"INSERT INTO signal_log ({_COLUMNS}) SELECT value ->> 'account', value ->> 'fingerprint', value ->> 'stamp',"
    " replace(value ->> 'id', '-', ''), (SELECT coalesce(max(seq), 0) FROM signal_log) + 1 + key,"
    " value ->> 'strategy', value ->> 'instrument', value ->> 'kind', value ->> 'layer', value ->> 'source',"
    " value -> 'payload', value ->> 'payload_hash', value ->> 'status', value ->> 'reason', value ->> 'request_id',"
    " strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'), strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'),"
    " CASE WHEN value ->> 'terminal' THEN strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') END FROM json_each(:batch)"
    " WHERE true ON CONFLICT (account, fingerprint, signal_ts) DO NOTHING RETURNING account, fingerprint",
    column("account", String),
    column("fingerprint", String),
)
_SAY_LITE = text(
    "INSERT INTO event_log (stream, seq, at, kind, data, actor) SELECT value ->> 'stream', 1,"
    " strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'),"
    " CASE WHEN value ->> 'terminal' THEN 'terminal:' || (value ->> 'status') ELSE 'accepted' END,"
    " json_object('source', value ->> 'source', 'request_id', value ->> 'request_id', 'reason', value ->> 'reason'),"
    " value ->> 'actor' FROM json_each(:batch)"
).bindparams(bindparam("batch", type_=Text))
_RAISE_PG = text(
    "UPDATE lane SET exit_watermark = greatest(lane.exit_watermark, least(b.stamp, clock_timestamp()))"
    " FROM (SELECT l.account, l.instrument, max(k.stamp) AS stamp FROM lane l JOIN"
    " jsonb_to_recordset(CAST(:batch AS jsonb)) AS k(account text, instrument text, stamp timestamptz)"
    " USING (account, instrument) GROUP BY 1, 2) AS b"
    " WHERE lane.account = b.account AND lane.instrument = b.instrument"
).bindparams(bindparam("batch", type_=Text))
_LOCK_LANES_PG = text(
    "SELECT l.account FROM lane l JOIN jsonb_to_recordset(CAST(:batch AS jsonb)) AS k(account text, instrument text)"
    " USING (account, instrument) ORDER BY l.account, l.instrument FOR UPDATE OF l"
).bindparams(bindparam("batch", type_=Text))
_RAISE_LITE = text(
    "UPDATE lane SET exit_watermark = max(lane.exit_watermark, min(b.stamp, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')))"
    " FROM (SELECT value ->> 'account' AS account, value ->> 'instrument' AS instrument,"
    " max(value ->> 'stamp') AS stamp FROM json_each(:batch) GROUP BY 1, 2) AS b"
    " WHERE lane.account = b.account AND lane.instrument = b.instrument"
).bindparams(bindparam("batch", type_=Text))
_DUPLICATE = _for(
    "INSERT INTO event_log (stream, seq, at, kind, data, actor) SELECT b.stream, coalesce((SELECT max(e.seq) FROM"
    " event_log e WHERE e.stream = b.stream), 0) + 1, clock_timestamp(), b.kind, b.data, b.actor FROM"
    f" {_BATCH_PG}(stream text, kind text, data jsonb, actor text) ON CONFLICT DO NOTHING",
    "INSERT INTO event_log (stream, seq, at, kind, data, actor) SELECT value ->> 'stream', coalesce((SELECT"
    " max(e.seq) FROM event_log e WHERE e.stream = value ->> 'stream'), 0) + 1,"
    " strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'), value ->> 'kind', value -> 'data', value ->> 'actor'"
    " FROM json_each(:batch) WHERE true ON CONFLICT DO NOTHING",
)


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=str)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def _json(rows: Sequence[dict[str, Any]]) -> str:
    return _ENCODER.encode(rows)


def _keys(signals: Sequence[NewSignal]) -> list[tuple[str, str, str, str]]:
    return sorted({signal.key for signal in signals if signal.layer is not None})


def _stamps(n: int, signal: NewSignal, window: timedelta) -> dict[str, Any]:
    return {
        "n": n,
        "account": signal.account,
        "instrument": signal.instrument,
        "kind": signal.kind,
        "layer": signal.layer,
        "fingerprint": signal.fingerprint,
        "stamp": _instant(signal.stamp),
        "window_from": _instant(signal.stamp - window),
        "window_to": _instant(signal.stamp + window),
    }


def _values(signal: NewSignal) -> dict[str, Any]:
    return {
        "id": str(signal.id),
        "strategy": signal.strategy,
        "source": signal.source,
        "payload": signal.payload,
        "payload_hash": signal.payload_hash,
        "request_id": signal.request_id,
        "status": signal.status,
        "reason": signal.reason,
        "terminal": signal.terminal,
    }


async def look(
    tx: Transaction, signals: Sequence[NewSignal], window: timedelta, *, may_insert: bool, actor: str
) -> tuple[list[tuple[int, bool, Known]], bool]:
    """Lock the keys and look, as `lock_keys` and `seen` do; insert at once if nothing was found and the caller allows.

    Returns what was found and whether everything was inserted: then `insert_new` has nothing left to do.
    """
    if not signals:
        return [], True
    if tx.dialect != "postgresql":
        await lock_keys(tx, signals)
        return await seen(tx, signals, window), False
    keys = _keys(signals)
    rows = await tx.all(
        _ACCEPT,
        ids=[signal.id for signal in signals],
        accounts=[signal.account for signal in signals],
        strategies=[signal.strategy for signal in signals],
        fingerprints=[signal.fingerprint for signal in signals],
        stamps=[signal.stamp for signal in signals],
        instruments=[signal.instrument for signal in signals],
        kinds=[signal.kind for signal in signals],
        layers=[signal.layer for signal in signals],
        sources=[signal.source for signal in signals],
        payloads=[_ENCODER.encode(signal.payload) for signal in signals],
        payload_hashes=[signal.payload_hash for signal in signals],
        request_ids=[signal.request_id for signal in signals],
        statuses=[signal.status for signal in signals],
        reasons=[signal.reason for signal in signals],
        terminals=[signal.terminal for signal in signals],
        key_accounts=[account for account, _, _, _ in keys],
        key_instruments=[instrument for _, instrument, _, _ in keys],
        key_kinds=[kind for _, _, kind, _ in keys],
        key_layers=[layer for _, _, _, layer in keys],
        within_seconds=window.total_seconds(),
        may_insert=may_insert,
        by=actor,
    )
    return [(row["n"], row["exact"], _known(row)) for row in rows], may_insert and not rows


async def lock_keys(tx: Transaction, signals: Sequence[NewSignal]) -> None:
    """Lock the batch's dedup keys in sorted order, making those that are missing."""
    wanted = _keys(signals)
    if not wanted:
        return
    batch = _json([dict(zip(("account", "instrument", "kind", "layer"), key, strict=True)) for key in wanted])
    found = await tx.all(_LOCK_KEYS[tx.dialect], batch=batch)
    if len(found) < len(wanted):
        await tx.count(_MAKE_KEYS[tx.dialect], batch=batch)
        await tx.all(_LOCK_KEYS[tx.dialect], batch=batch)


async def seen(tx: Transaction, signals: Sequence[NewSignal], window: timedelta) -> list[tuple[int, bool, Known]]:
    """Return (index, exact, stored signal) for each stored signal that makes one of `signals` a duplicate.

    window: inclusive either way.
    """
    rows = [_stamps(n, signal, window) for n, signal in enumerate(signals)]
    found = await tx.all(_SEEN[tx.dialect], batch=_json(rows))
    return [(row["n"], row["exact"], _known(row)) for row in found]


async def stored(tx: Transaction, places: Sequence[Place]) -> dict[int, Known]:
    """Return the signals that stand in these places, by index; takes no lock."""
    batch = [
        {"n": n, "account": account, "fingerprint": fingerprint, "stamp": _instant(stamp)}
        for n, (account, fingerprint, stamp) in enumerate(places)
    ]
    return {row["n"]: _known(row) for row in await tx.all(_STORED[tx.dialect], batch=_json(batch))}


def _known(row: Row) -> Known:
    return Known(
        id=row["id"],
        fingerprint=row["fingerprint"],
        account=row["account"],
        status=row["status"],
        payload_hash=row["payload_hash"],
    )


async def insert_new(tx: Transaction, signals: Sequence[NewSignal], *, actor: str) -> set[tuple[str, str]]:
    """Insert rows and their first events; returns (account, fingerprint) of those that were new."""
    rows = [
        {
            **_values(signal),
            "account": signal.account,
            "fingerprint": signal.fingerprint,
            "stamp": _instant(signal.stamp),
            "instrument": signal.instrument,
            "kind": signal.kind,
            "layer": signal.layer,
            "actor": actor,
            "stream": f"signal:{signal.account}:{signal.fingerprint}",
        }
        for signal in signals
    ]
    inserted = await tx.all(_INSERT[tx.dialect], batch=_json(rows))
    new = {(row["account"], row["fingerprint"]) for row in inserted}
    if tx.dialect == "sqlite" and new:
        await tx.count(_SAY_LITE, batch=_json([r for r in rows if (r["account"], r["fingerprint"]) in new]))
    return new


async def raise_watermarks(tx: Transaction, exits: Sequence[NewSignal]) -> None:
    """Close the lanes of accepted exits to entries with earlier stamps; a stamp ahead reaches only to now."""
    if not exits:
        return
    batch = _json(
        [
            {"account": signal.account, "instrument": signal.instrument, "stamp": _instant(signal.stamp)}
            for signal in exits
        ]
    )
    if tx.dialect == "postgresql":
        await tx.all(_LOCK_LANES_PG, batch=batch)
    await tx.count(_RAISE_PG if tx.dialect == "postgresql" else _RAISE_LITE, batch=batch)


async def note_duplicates(tx: Transaction, notes: Sequence[Note], *, actor: str) -> None:
    """Journal redeliveries. A duplicate is an event, not a row.

    Each stream gets one note of a batch, since the next number is read before the statement writes; of two pods that
    note the same redelivery at the same moment one does.
    """
    if not notes:
        return
    batch = {
        str(known.id): {"stream": f"duplicates:{known.id}", "kind": kind, "data": data, "actor": actor}
        for known, kind, data in notes
    }
    await tx.count(_DUPLICATE[tx.dialect], batch=_json(list(batch.values())))
