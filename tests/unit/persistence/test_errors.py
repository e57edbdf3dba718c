"""Which of our errors each of the driver's errors becomes."""

import sqlite3

import asyncpg
import pytest

from ratchet.persistence.errors import (
    CheckViolation,
    CommitInDoubt,
    ConstraintViolation,
    DatabaseUnavailable,
    PersistenceError,
    StatementFailed,
    TransientConflict,
    UniqueViolation,
    translate,
    translate_commit,
)


def postgres_error(sqlstate: str) -> asyncpg.PostgresError:
    """Return what asyncpg raises for a code."""
    error: asyncpg.PostgresError = asyncpg.PostgresError.new(
        {"C": sqlstate, "M": "as the server says", "n": "some_key"}
    )
    return error


SQLSTATES: dict[str, type[PersistenceError]] = {
    "40001": TransientConflict,
    "40P01": TransientConflict,
    "55P03": TransientConflict,
    "57014": TransientConflict,
    "23505": UniqueViolation,
    "23514": CheckViolation,
    "23503": ConstraintViolation,
    "23502": ConstraintViolation,
    "08006": DatabaseUnavailable,
    "08003": DatabaseUnavailable,
    "57P01": DatabaseUnavailable,
    "57P02": DatabaseUnavailable,
    "57P03": DatabaseUnavailable,
    "25006": DatabaseUnavailable,
    "25P03": DatabaseUnavailable,
    "53100": DatabaseUnavailable,
    "53300": DatabaseUnavailable,
    "58030": DatabaseUnavailable,
    "42601": StatementFailed,
    "25P02": StatementFailed,
}

LOST = {"08006", "08003", "57P01", "57P02", "57P03", "25006", "25P03", "58030"}
"""Codes after which the connection is given up, so that their coming from COMMIT proves nothing."""


@pytest.mark.parametrize("sqlstate", SQLSTATES)
def test_each_code_of_the_server_has_its_meaning(sqlstate: str) -> None:
    error = translate(postgres_error(sqlstate))
    assert type(error) is SQLSTATES[sqlstate]
    assert error.sqlstate == sqlstate


@pytest.mark.parametrize("sqlstate", [*SQLSTATES, "40003"])
def test_at_commit_an_error_is_definite_unless_the_connection_is_lost(sqlstate: str) -> None:
    doubtful = sqlstate in LOST or sqlstate == "40003"
    error = translate_commit(postgres_error(sqlstate))
    assert type(error) is (CommitInDoubt if doubtful else SQLSTATES[sqlstate])


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("no"),
        ConnectionResetError("cut"),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
    ],
)
def test_no_connection_and_no_answer_are_outages_and_at_commit_a_doubt(error: BaseException) -> None:
    plain = translate(error)
    assert isinstance(plain, DatabaseUnavailable)
    assert plain.connection_lost
    assert isinstance(translate_commit(error), CommitInDoubt)


def test_a_full_disk_is_marked_and_keeps_the_connection() -> None:
    error = translate(postgres_error("53100"))
    assert isinstance(error, DatabaseUnavailable)
    assert error.disk_full
    assert not error.connection_lost


def test_only_what_may_pass_is_worth_another_try() -> None:
    retryable = {code for code in SQLSTATES if translate(postgres_error(code)).retryable}
    assert retryable == {code for code, kind in SQLSTATES.items() if kind in (TransientConflict, DatabaseUnavailable)}
    assert translate_commit(ConnectionResetError()).retryable


def test_a_trigger_s_refusal_in_sqlite_names_the_trigger() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "CREATE TABLE t (a); CREATE TRIGGER g BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'a_rule'); END;"
    )
    with pytest.raises(sqlite3.IntegrityError) as raised:
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    error = translate(raised.value)
    assert isinstance(error, CheckViolation)
    assert error.constraint == "a_rule"


def test_our_own_errors_pass_unchanged() -> None:
    error = UniqueViolation("key", "message")
    assert translate(error) is error
