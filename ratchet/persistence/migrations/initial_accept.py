"""The accept of new signals on PostgreSQL: three statements in one round trip.

A function's statements are as separate as if they were sent one by one: under READ COMMITTED each of them sees what
committed before it began. So the look sees everything that the wait for the locks let through.
"""

from __future__ import annotations

_KEYS = "jsonb_to_recordset(keys) AS b(account text, instrument text, kind text, layer text)"
_LOCK = (
    f"PERFORM 1 FROM dedup_key d JOIN {_KEYS} USING (account, instrument, kind, layer)"
    " ORDER BY d.account, d.instrument, d.kind, d.layer FOR UPDATE OF d"
)
_STAMPS = (
    "jsonb_to_recordset(batch) AS b(n int, account text, instrument text, kind text, layer text, fingerprint text,"
    " stamp timestamptz, window_from timestamptz, window_to timestamptz)"
)
_FOUND = "SELECT b.n, s.id, s.account::text, s.fingerprint::text, s.status::text, s.payload_hash::text"
_SEEN = (
    f"RETURN QUERY {_FOUND}, true FROM {_STAMPS} JOIN signal_log s"
    " ON s.account = b.account AND s.fingerprint = b.fingerprint AND s.signal_ts = b.stamp"
    f" UNION ALL {_FOUND}, false FROM {_STAMPS} JOIN signal_log s"
    " ON s.account = b.account AND s.instrument = b.instrument AND s.kind = b.kind AND s.layer = b.layer"
    " AND s.signal_ts BETWEEN b.window_from AND b.window_to WHERE s.fingerprint <> b.fingerprint"
    " AND (s.kind <> 'EXIT' OR s.status IN ('accepted', 'processing', 'review'))"
)
_INSERT = (
    "WITH b AS MATERIALIZED (SELECT * FROM jsonb_to_recordset(batch) AS r(id uuid, account text, strategy text,"
    " fingerprint text, stamp timestamptz, instrument text, kind text, layer text, source text, payload jsonb,"
    " payload_hash text, request_id text, status text, reason text, terminal boolean)),"
    " new AS (INSERT INTO signal_log (account, fingerprint, signal_ts, id, seq, strategy, instrument, kind, layer,"
    " source, payload, payload_hash, status, reason, request_id, received_at, lease_until, terminal_at)"
    " SELECT b.account, b.fingerprint, b.stamp, b.id, nextval('signal_seq'), b.strategy, b.instrument, b.kind, b.layer,"
    " b.source, b.payload, b.payload_hash, b.status, b.reason, b.request_id, clock_timestamp(), clock_timestamp(),"
    " CASE WHEN b.terminal THEN clock_timestamp() END FROM b"
    " ON CONFLICT (account, fingerprint, signal_ts) DO NOTHING RETURNING signal_log.id)"
    " INSERT INTO event_log (stream, seq, at, kind, data, actor)"
    " SELECT 'signal:' || b.account || ':' || b.fingerprint, 1, clock_timestamp(),"
    " CASE WHEN b.terminal THEN 'terminal:' || b.status ELSE 'accepted' END,"
    " jsonb_build_object('source', b.source, 'request_id', b.request_id, 'reason', b.reason), by"
    " FROM b JOIN new USING (id)"
)

CREATE = (
    "CREATE FUNCTION accept_signals(batch jsonb, keys jsonb, may_insert boolean, by text)"
    " RETURNS TABLE (n int, id uuid, account text, fingerprint text, status text, payload_hash text, exact boolean)"
    " LANGUAGE plpgsql VOLATILE AS $$"
    " #variable_conflict use_column\n"
    " DECLARE counted bigint;"
    f" BEGIN {_LOCK}; GET DIAGNOSTICS counted = ROW_COUNT;"
    " IF counted < jsonb_array_length(keys) THEN"
    " INSERT INTO dedup_key (account, instrument, kind, layer) SELECT b.account, b.instrument, b.kind, b.layer"
    f" FROM {_KEYS} ORDER BY 1, 2, 3, 4 ON CONFLICT DO NOTHING; {_LOCK}; END IF;"
    f" {_SEEN}; IF FOUND OR NOT may_insert THEN RETURN; END IF;"
    f" {_INSERT}; GET DIAGNOSTICS counted = ROW_COUNT;"
    f" IF counted < jsonb_array_length(batch) THEN {_SEEN}; END IF;"
    " END $$"
)
"""Locks `keys`, returns what makes rows of `batch` duplicates; if nothing does, and `may_insert`, they are in."""

DROP = "DROP FUNCTION accept_signals(jsonb, jsonb, boolean, text)"
