"""Compiled statements: each Core expression becomes SQL once, with the order and the codecs of its parameters.

SQLAlchemy compiles; executing goes straight to the driver. A statement is known by its identity, so keep those of hot
paths as module constants: one that is built for each call is compiled for each call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Dialect, Integer
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.elements import BindParameter, ClauseElement
from sqlalchemy.types import TypeEngine

from ratchet.persistence.errors import StatementFailed
from ratchet.persistence.types import Document

Parameters = Mapping[str, Any]
Row = Mapping[str, Any]
Processor = Callable[[Any], Any]
_Slot = tuple[str | None, Processor | None, Any]
"""One argument: the caller's parameter, how it is made ready, and the value that stands where there is no parameter."""

_CACHE_LIMIT = 2_000
_PLACEHOLDER = re.compile(r"\$(\d+)")


class Plan:
    """One statement in one dialect: its SQL, how parameters become arguments, how values come back."""

    __slots__ = ("_allowed", "_compiled", "_decoders", "_required", "_slots", "_sql", "statement")

    def __init__(self, statement: ClauseElement, dialect: Dialect, parameters: Parameters) -> None:
        self.statement = statement
        columns = _column_keys(statement, parameters)
        compiled = _with_literals(statement).compile(dialect=dialect, column_keys=columns)
        if not isinstance(compiled, SQLCompiler):
            raise TypeError(f"not a statement: {statement!r}")
        self._allowed = frozenset(str(param.key) for param in compiled.binds.values() if not param.unique)
        self._required = frozenset(str(param.key) for param in compiled.binds.values() if param.required)
        self._decoders = _decoders(compiled, dialect)
        self._sql, self._slots = _lay_out(compiled, parameters)
        by_caller = any(param.required for param in compiled.post_compile_params)
        # An IN list of the caller's has as many placeholders as values, so its SQL is laid out for each call.
        self._compiled = compiled if by_caller else None

    def bind(self, parameters: Parameters) -> tuple[str, list[Any]]:
        """Return the SQL and its arguments in order. Raises StatementFailed for a missing or unknown parameter."""
        sql, slots = self._sql, self._slots
        if not parameters.keys() <= self._allowed:
            raise StatementFailed(f"parameters {sorted(parameters.keys() - self._allowed)} are unknown to: {sql}")
        if not parameters.keys() >= self._required:
            raise StatementFailed(f"parameters {sorted(self._required - parameters.keys())} are missing for: {sql}")
        if self._compiled is not None:
            sql, slots = _lay_out(self._compiled, parameters)
        arguments = []
        for key, processor, value in slots:
            if key is not None:
                value = parameters.get(key, value)
                if processor is not None:
                    value = processor(value)
            arguments.append(value)
        return sql, arguments

    def rows(self, records: Iterable[Any]) -> list[Row]:
        """Return the driver's records as mappings of Python values."""
        rows: list[dict[str, Any]] = [dict(record) for record in records]
        for name, decode in self._decoders:
            for row in rows:
                row[name] = decode(row[name])
        return list(rows)


class Statements:
    """The plans of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._plans: dict[object, Plan] = {}
        self._joined: dict[tuple[str, ...], str] = {}

    def plan(self, statement: ClauseElement, parameters: Parameters) -> Plan:
        """Return the plan of a statement, made at its first use."""
        key: object = id(statement)
        if isinstance(statement, Insert) and not _has_values(statement):
            key = (key, *sorted(parameters))  # its columns are those that it is given
        found = self._plans.get(key)
        if found is not None:
            return found  # it keeps its statement alive, so the identity cannot have passed to another
        if len(self._plans) >= _CACHE_LIMIT:
            del self._plans[next(iter(self._plans))]
        made = self._plans[key] = Plan(statement, self._dialect, parameters)
        return made

    def joined(self, changes: tuple[str, ...]) -> str:
        """Return one statement of PostgreSQL that makes all the changes; its only row counts the rows of each."""
        found = self._joined.get(changes)
        if found is not None:
            return found
        if len(self._joined) >= _CACHE_LIMIT:
            del self._joined[next(iter(self._joined))]
        made = self._joined[changes] = _join(changes)
        return made


def _join(changes: Sequence[str]) -> str:
    parts, used = [], 0
    for n, sql in enumerate(changes):
        returning = "" if " RETURNING " in sql else " RETURNING 1"
        parts.append(f"change_{n} AS ({_shifted(sql, used)}{returning})")
        used += max((int(number) for number in _PLACEHOLDER.findall(sql)), default=0)
    counts = ", ".join(f"(SELECT count(*) FROM change_{n})" for n in range(len(changes)))
    return f"WITH {', '.join(parts)} SELECT {counts}"


def _shifted(sql: str, by: int) -> str:
    return _PLACEHOLDER.sub(lambda match: f"${int(match[1]) + by}", sql)


def _with_literals(statement: ClauseElement) -> ClauseElement:
    """Return the statement with its own words and numbers written into its SQL.

    A partial index serves a plan that is made once only if the plan knows them: `status IN ($1, $2)` could be anything.
    """
    if isinstance(statement, Insert):
        return statement
    return visitors.cloned_traverse(statement, {}, {"bindparam": _write_in})


def _write_in(param: BindParameter[Any]) -> None:
    values = param.value if isinstance(param.value, list | tuple) else (param.value,)
    if param.unique and all(isinstance(value, str | int) for value in values):
        param.literal_execute = True


def _has_values(statement: Insert) -> bool:
    return bool(statement._values or statement._multi_values or statement.select is not None)


def _column_keys(statement: ClauseElement, parameters: Parameters) -> list[str] | None:
    return sorted(parameters) if isinstance(statement, Insert) and not _has_values(statement) else None


def _lay_out(compiled: SQLCompiler, parameters: Parameters) -> tuple[str, tuple[_Slot, ...]]:
    sql, names = compiled.string, compiled.positiontup or []
    processors: dict[str, Any] = dict(compiled._bind_processors)
    expanded: Mapping[str, Any] = {}
    if compiled.post_compile_params or compiled.literal_execute_params:
        # Also for a parameter that is missing, so that `bind` can say which.
        named = {name: param for name, param in compiled.binds.items() if not param.unique}
        given = {name: parameters.get(str(param.key), [] if param.expanding else None) for name, param in named.items()}
        state = compiled.construct_expanded_state(given)
        sql, names, expanded = state.statement, list(state.positiontup or []), state.parameters
        processors.update(state.processors)
    return sql, tuple(_slot(compiled, name, processors.get(name), expanded) for name in names)


def _slot(compiled: SQLCompiler, name: str, processor: Processor | None, expanded: Mapping[str, Any]) -> _Slot:
    param = compiled.binds.get(name)
    if param is None:  # one value of an IN list
        value = expanded[name]
    elif param.unique:  # a literal of the statement itself
        value = param.effective_value
    else:
        return str(param.key), processor, param.effective_value
    return None, None, value if processor is None else processor(value)


def _decoders(compiled: SQLCompiler, dialect: Dialect) -> tuple[tuple[str, Processor], ...]:
    found = []
    for entry in compiled._result_columns:
        computed = not any(isinstance(item, Column) for item in entry.objects)
        decoder = _decoder(entry.type, dialect, computed)
        if decoder is not None:
            found.append((entry.name, decoder))
    return tuple(found)


def _decoder(kind: TypeEngine[Any], dialect: Dialect, computed: bool) -> Processor | None:
    if dialect.name == "sqlite":
        return kind.dialect_impl(dialect).result_processor(dialect, None)
    if isinstance(kind, Document):
        return lambda value: json.loads(value) if isinstance(value, str) else value
    if computed and kind._type_affinity is Integer:
        return lambda value: None if value is None else int(value)  # the sum of integers is NUMERIC on the server
    return None  # asyncpg already gives the Python type
