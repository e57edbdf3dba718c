"""Pieces of DDL that the revisions share."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from alembic import op

State = TypeVar("State", bound=StrEnum)


def one_of(column: str, words: str) -> str:
    """Return the condition that a column holds one of the words."""
    return f"{column} IN ({', '.join(repr(word) for word in words.split())})"


def dialect() -> str:
    """Return the name of the database that is being migrated."""
    return op.get_context().dialect.name


def run(*, postgresql: tuple[str, ...] = (), sqlite: tuple[str, ...] = ()) -> None:
    """Execute the statements of the dialect at hand, as they are."""
    for statement in {"postgresql": postgresql, "sqlite": sqlite}[dialect()]:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%") if dialect() == "postgresql" else statement)


def allow_only(table: str, column: str, allowed: Mapping[State, frozenset[State]]) -> None:
    """Make a trigger `<table>_transition` that refuses every change of `column` that is not in `allowed`.

    It replaces the one that is there. The database reports a refusal as a violated CHECK of that name.
    """
    name = f"{table}_transition"
    pairs = ", ".join(sorted(f"'{before}>{after}'" for before, nexts in allowed.items() for after in nexts))
    run(
        postgresql=(
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF (OLD.{column} || '>' || NEW.{column}) NOT IN ({pairs}) THEN"
            f" RAISE EXCEPTION '{table}: % cannot become %', OLD.{column}, NEW.{column}"
            f" USING ERRCODE = 'check_violation', CONSTRAINT = '{name}', TABLE = '{table}'; END IF;"
            " RETURN NEW; END $$",
            f"DROP TRIGGER IF EXISTS {name} ON {table}",
            f"CREATE TRIGGER {name} BEFORE UPDATE OF {column} ON {table} FOR EACH ROW"
            f" WHEN (OLD.{column} IS DISTINCT FROM NEW.{column}) EXECUTE FUNCTION {name}()",
        ),
        sqlite=(
            f"DROP TRIGGER IF EXISTS {name}",
            f"CREATE TRIGGER {name} BEFORE UPDATE OF {column} ON {table}"
            f" WHEN OLD.{column} <> NEW.{column} AND (OLD.{column} || '>' || NEW.{column}) NOT IN ({pairs})"
            f" BEGIN SELECT RAISE(ABORT, '{name}'); END",
        ),
    )


def never_less(table: str, column: str) -> None:
    """Make a trigger `<table>_<column>_grows` that refuses to lower a number."""
    name = f"{table}_{column}_grows"
    run(
        postgresql=(
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" RAISE EXCEPTION '{table}.{column} cannot fall from % to %', OLD.{column}, NEW.{column}"
            f" USING ERRCODE = 'check_violation', CONSTRAINT = '{name}', TABLE = '{table}'; END $$",
            f"CREATE TRIGGER {name} BEFORE UPDATE OF {column} ON {table} FOR EACH ROW"
            f" WHEN (NEW.{column} < OLD.{column}) EXECUTE FUNCTION {name}()",
        ),
        sqlite=(
            f"CREATE TRIGGER {name} BEFORE UPDATE OF {column} ON {table} WHEN NEW.{column} < OLD.{column}"
            f" BEGIN SELECT RAISE(ABORT, '{name}'); END",
        ),
    )


def append_only(table: str) -> None:
    """Make triggers that refuse to change or remove a row once it is written."""
    name = f"{table}_append_only"
    run(
        postgresql=(
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" RAISE EXCEPTION '{table} only grows'"
            f" USING ERRCODE = 'check_violation', CONSTRAINT = '{name}', TABLE = '{table}'; END $$",
            f"CREATE TRIGGER {name} BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {name}()",
            f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM PUBLIC",
        ),
        sqlite=tuple(
            f"CREATE TRIGGER {name}_{event.lower()} BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, '{name}'); END"
            for event in ("UPDATE", "DELETE")
        ),
    )


def drop_functions(*names: str) -> None:
    """Remove trigger functions of PostgreSQL; their triggers went with the tables."""
    run(postgresql=tuple(f"DROP FUNCTION IF EXISTS {name}()" for name in names))
