"""The accept of new signals takes arrays: neither side writes or reads JSON for what is no document.

The function of revision 0001 stays for the release before, which may still run beside this one.

Revision ID: 0005
"""

from __future__ import annotations

from ratchet.persistence.migrations.ddl import run

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ARRAYS = (
    "ids uuid[], accounts text[], strategies text[], fingerprints text[], stamps timestamptz[], instruments text[],"
    " kinds text[], layers text[], sources text[], payloads text[], payload_hashes text[], request_ids text[],"
    " statuses text[], reasons text[], terminals boolean[],"
    " key_accounts text[], key_instruments text[], key_kinds text[], key_layers text[]"
)
_REST = "within_seconds double precision, may_insert boolean, by text"

_KEYS = "unnest(key_accounts, key_instruments, key_kinds, key_layers) AS b(account, instrument, kind, layer)"
_LOCK = (
    f"PERFORM 1 FROM {_KEYS} JOIN dedup_key d USING (account, instrument, kind, layer)"
    " ORDER BY d.account, d.instrument, d.kind, d.layer FOR UPDATE OF d"
)
_STAMPS = (
    "unnest(accounts, instruments, kinds, layers, fingerprints, stamps) WITH ORDINALITY"
    " AS b(account, instrument, kind, layer, fingerprint, stamp, place)"
)
_FOUND = "SELECT b.place::int - 1, s.id, s.account::text, s.fingerprint::text, s.status::text, s.payload_hash::text"
_SEEN = (
    f"RETURN QUERY {_FOUND}, true FROM {_STAMPS} JOIN signal_log s"
    " ON s.account = b.account AND s.fingerprint = b.fingerprint AND s.signal_ts = b.stamp"
    f" UNION ALL {_FOUND}, false FROM {_STAMPS} JOIN signal_log s"
    " ON s.account = b.account AND s.instrument = b.instrument AND s.kind = b.kind AND s.layer = b.layer"
    " AND s.signal_ts BETWEEN b.stamp - reach AND b.stamp + reach WHERE s.fingerprint <> b.fingerprint"
    " AND (s.kind <> 'EXIT' OR s.status IN ('accepted', 'processing', 'review'))"
)
_INSERT = (
    "WITH b AS MATERIALIZED (SELECT * FROM unnest(ids, accounts, strategies, fingerprints, stamps, instruments, kinds,"
    " layers, sources, payloads, payload_hashes, request_ids, statuses, reasons, terminals) AS r(id, account, strategy,"
    " fingerprint, stamp, instrument, kind, layer, source, payload, payload_hash, request_id, status, reason,"
    " terminal)),"
    " new AS (INSERT INTO signal_log (account, fingerprint, signal_ts, id, seq, strategy, instrument, kind, layer,"
    " source, payload, payload_hash, status, reason, request_id, received_at, lease_until, terminal_at)"
    " SELECT b.account, b.fingerprint, b.stamp, b.id, nextval('signal_seq'), b.strategy, b.instrument, b.kind, b.layer,"
    " b.source, b.payload::jsonb, b.payload_hash, b.status, b.reason, b.request_id, clock_timestamp(),"
    " clock_timestamp(), CASE WHEN b.terminal THEN clock_timestamp() END FROM b"
    " ON CONFLICT (account, fingerprint, signal_ts) DO NOTHING RETURNING signal_log.id)"
    " INSERT INTO event_log (stream, seq, at, kind, data, actor)"
    " SELECT 'signal:' || b.account || ':' || b.fingerprint, 1, clock_timestamp(),"
    " CASE WHEN b.terminal THEN 'terminal:' || b.status ELSE 'accepted' END,"
    " jsonb_build_object('source', b.source, 'request_id', b.request_id, 'reason', b.reason), by"
    " FROM b JOIN new USING (id)"
)
_CREATE = (
    f"CREATE FUNCTION accept_rows({_ARRAYS}, {_REST})"
    " RETURNS TABLE (n int, id uuid, account text, fingerprint text, status text, payload_hash text, exact boolean)"
    " LANGUAGE plpgsql VOLATILE AS $$"
    " #variable_conflict use_column\n"
    " DECLARE counted bigint; reach interval := make_interval(secs => within_seconds);"
    f" BEGIN {_LOCK}; GET DIAGNOSTICS counted = ROW_COUNT;"
    " IF counted < cardinality(key_accounts) THEN"
    " INSERT INTO dedup_key (account, instrument, kind, layer) SELECT b.account, b.instrument, b.kind, b.layer"
    f" FROM {_KEYS} ORDER BY 1, 2, 3, 4 ON CONFLICT DO NOTHING; {_LOCK}; END IF;"
    f" {_SEEN}; IF FOUND OR NOT may_insert THEN RETURN; END IF;"
    f" {_INSERT}; GET DIAGNOSTICS counted = ROW_COUNT;"
    f" IF counted < cardinality(ids) THEN {_SEEN}; END IF;"
    " END $$"
)


def upgrade() -> None:
    run(postgresql=(_CREATE,))


def downgrade() -> None:
    run(postgresql=("DROP FUNCTION accept_rows",))
