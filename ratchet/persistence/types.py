"""Column types that mean the same on PostgreSQL and SQLite, and the database's own clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Numeric, String, Text, types
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

_SCALE = 4
_UNIT = Decimal(1).scaleb(-_SCALE)


class UtcDateTime(types.TypeDecorator[datetime]):
    """An aware instant: `timestamptz` on PostgreSQL, fixed-width ISO text (which sorts as time) on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored instant must be aware")
        at = value.astimezone(UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if dialect.name == "sqlite" else at

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        at: datetime | None = datetime.fromisoformat(value) if isinstance(value, str) else value
        return at


class Fixed(types.TypeDecorator[Decimal]):
    """A price or an amount of rupees with four decimals: NUMERIC on PostgreSQL, a scaled integer on SQLite.

    Sums and comparisons in SQL are exact on both. Raises ValueError for more than four decimals.
    """

    impl = Numeric(20, _SCALE)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(Numeric(20, _SCALE))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        exact = value.quantize(_UNIT)
        if exact != value:
            raise ValueError(f"{value} has more than {_SCALE} decimals")
        return int(exact.scaleb(_SCALE)) if dialect.name == "sqlite" else exact

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        return Decimal(value).scaleb(-_SCALE) if dialect.name == "sqlite" else Decimal(value)


class Document(types.TypeDecorator[Any]):
    """A JSON value: JSONB on PostgreSQL, text on SQLite. Always bound as text, so that any driver can carry it."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.JSONB())
        return dialect.type_descriptor(Text())

    def bind_processor(self, dialect: Dialect) -> Any:
        return lambda value: None if value is None else json.dumps(value, separators=(",", ":"), default=str)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return lambda value: json.loads(value) if isinstance(value, str) else value


class db_now(FunctionElement[datetime]):  # noqa: N801 - reads as a SQL function
    """The database's clock, moved by `seconds` (a float expression or bind) if one is given."""

    type = UtcDateTime()
    inherit_cache = True
    name = "db_now"


@compiles(db_now, "postgresql")
def _postgres_now(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    if not seconds:
        return "clock_timestamp()"
    return f"(clock_timestamp() + CAST({seconds} AS double precision) * interval '1 second')"


@compiles(db_now, "sqlite")
def _sqlite_now(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    moved = f", (({seconds}) || ' seconds')" if seconds else ""
    return f"strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'{moved})"


class xact_id(FunctionElement[int]):  # noqa: N801 - reads as a SQL function
    """The id of the transaction on PostgreSQL, for readers that follow a log; NULL on SQLite."""

    type = BigInteger()
    inherit_cache = True
    name = "xact_id"


@compiles(xact_id, "postgresql")
def _postgres_xact_id(element: xact_id, compiler: SQLCompiler, **kw: Any) -> str:
    return "((pg_current_xact_id())::text)::bigint"


@compiles(xact_id, "sqlite")
def _sqlite_xact_id(element: xact_id, compiler: SQLCompiler, **kw: Any) -> str:
    return "NULL"
