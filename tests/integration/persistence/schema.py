"""The schema of a database as text, so that two can be compared."""

import re

from sqlalchemy import Connection, Engine, MetaData, NullPool, create_engine, make_url, text

from ratchet.persistence.options import dialect_of

_COLUMNS = """
SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
_CONSTRAINTS = """
SELECT c.relname || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
"""
_INDEXES = """
SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
"""
_SEQUENCES = "SELECT sequencename FROM pg_sequences"
_SQLITE = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('table', 'index')"


def engine_of(url: str) -> Engine:
    """Return a plain engine for either database."""
    driver = "postgresql+psycopg" if dialect_of(url) == "postgresql" else "sqlite+pysqlite"
    return create_engine(make_url(url).set(drivername=driver), poolclass=NullPool)


def describe(url: str) -> set[str]:
    """Return a line for each column, constraint, index and sequence; alembic's own table and partitions left out."""
    with engine_of(url).connect() as connection:
        queries = (_SQLITE,) if connection.dialect.name == "sqlite" else (_COLUMNS, _CONSTRAINTS, _INDEXES, _SEQUENCES)
        lines = {
            # a table that was made anew under another name is written with quotes afterwards
            re.sub(r'^CREATE TABLE "(\w+)"', r"CREATE TABLE \1", re.sub(r"\s+", " ", part))
            for query in queries
            for line in _column(connection, query)
            for part in _parts(line)
        }
    return {line for line in lines if "alembic_version" not in line}


def create_all(url: str, metadata: MetaData) -> None:
    """Make the tables as the code describes them."""
    with engine_of(url).begin() as connection:
        metadata.create_all(connection)


def _column(connection: Connection, query: str) -> list[str]:
    return [str(value) for value in connection.execute(text(query)).scalars()]


def _parts(line: str) -> list[str]:
    """Return a CREATE TABLE line by line, each with its table: the order of constraints means nothing."""
    head, *parts = line.split("\n")
    return [f"{head} {part.strip().rstrip(',')}" for part in parts if part.strip() != ")"] or [head]
