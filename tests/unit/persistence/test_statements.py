"""Plans of statements: SQL, the order and form of arguments, values that come back."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Dialect, bindparam, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite

from ratchet.persistence.errors import StatementFailed
from ratchet.persistence.statements import Statements
from ratchet.persistence.tables import event_log, lane, ledger

POSTGRESQL: Dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
SQLITE: Dialect = SQLiteDialect_aiosqlite()
STAMP = datetime(2027, 1, 11, 5, 0, tzinfo=UTC)

HOLD = (
    update(lane).where(lane.c.account == bindparam("account"), lane.c.hold == "none").values(hold=bindparam("new_hold"))
)


def test_a_column_s_name_may_be_a_parameter_of_an_update_s_condition() -> None:
    sql, arguments = Statements(POSTGRESQL).plan(HOLD, {}).bind({"account": "main", "new_hold": "review"})
    assert sql == "UPDATE lane SET hold=$1::VARCHAR WHERE lane.account = $2::VARCHAR AND lane.hold = 'none'"
    assert arguments == ["review", "main"]


def test_amounts_and_instants_are_bound_in_the_form_of_the_database() -> None:
    statement = select(ledger.c.id).where(ledger.c.amount == bindparam("amount"), ledger.c.at == bindparam("at"))
    values = {"amount": Decimal("1.5"), "at": STAMP}
    assert Statements(POSTGRESQL).plan(statement, values).bind(values)[1] == [Decimal("1.5000"), STAMP]
    assert Statements(SQLITE).plan(statement, values).bind(values)[1] == [15_000, "2027-01-11T05:00:00.000000Z"]


def test_a_list_has_as_many_places_as_values() -> None:
    statement = select(lane.c.account).where(lane.c.hold.in_(bindparam("holds", expanding=True)))
    plan = Statements(SQLITE).plan(statement, {"holds": ["a"]})
    with pytest.raises(StatementFailed, match="holds"):
        plan.bind({})
    assert plan.bind({"holds": ["a", "b"]})[1] == ["a", "b"]
    assert plan.bind({"holds": ["c"]})[1] == ["c"]
    assert plan.bind({"holds": ["a", "b"]})[0].count("?") == 2


def test_constants_are_written_into_the_sql() -> None:
    statement = select(literal("x", literal_execute=True).label("x")).where(lane.c.hold.in_(["none", "review"]))
    sql, arguments = Statements(POSTGRESQL).plan(statement, {}).bind({})
    assert "SELECT 'x' AS x" in sql
    assert "IN ('none', 'review')" in sql, "a partial index serves a plan only if the plan knows them"
    assert arguments == []


def test_an_insert_without_values_has_the_columns_that_it_is_given() -> None:
    statements, statement = Statements(SQLITE), insert(event_log)
    one, two = {"stream": "a"}, {"stream": "a", "kind": "k"}
    assert statements.plan(statement, one).bind(one) == ("INSERT INTO event_log (stream) VALUES (?)", ["a"])
    assert statements.plan(statement, two).bind(two)[1] == ["a", "k"]


@pytest.mark.parametrize("dialect", [POSTGRESQL, SQLITE], ids=["postgresql", "sqlite"])
def test_a_statement_is_planned_once(dialect: Dialect) -> None:
    statements = Statements(dialect)
    assert statements.plan(HOLD, {}) is statements.plan(HOLD, {"account": "another"})
    assert statements.plan(HOLD, {}) is not statements.plan(select(lane), {})


def test_plans_are_bounded_and_never_mixed_up() -> None:
    statements = Statements(SQLITE)
    for n in range(2_100):  # each dies at once: its identity may pass to the next one
        assert statements.plan(text(f"SELECT {n}"), {}).bind({})[0] == f"SELECT {n}"
    assert len(statements._plans) <= 2_000


@pytest.mark.parametrize("parameters", [{"account": "a"}, {"account": "a", "new_hold": "x", "more": 1}])
def test_a_wrong_set_of_parameters_is_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(StatementFailed, match=r"new_hold|more"):
        Statements(SQLITE).plan(HOLD, parameters).bind(parameters)


def test_more_than_four_decimals_are_refused_rather_than_rounded() -> None:
    statement = select(ledger.c.id).where(ledger.c.amount == bindparam("amount"))
    with pytest.raises(ValueError, match="decimals"):
        Statements(SQLITE).plan(statement, {"amount": 0}).bind({"amount": Decimal("0.00001")})
