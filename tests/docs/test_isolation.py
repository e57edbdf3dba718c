import ast
import inspect
from collections.abc import Iterator
from fnmatch import fnmatch

import pytest
from sqlalchemy import text

from ratchet.persistence.database import Database
from tests.docs.pages import calls, keyword, quoted, rows
from tests.house.sources import dotted, shown, tree

LEVELS = {
    "run": "READ COMMITTED",
    "transaction": "READ COMMITTED",
    "single": "single",
    "reading": "REPEATABLE READ",
}
FIRST_LOCKS = ["leader_fence", "control", "dedup_key", "signal_log", "lane"]
GIVEN_BY_THE_CALLER = {"ratchet/execution/worker.py": "_write"}
"""Helpers that pass a name on: file and helper, whose callers give the name as their last argument."""


def table() -> dict[str, tuple[str, list[str]]]:
    return {
        quoted(cells[0])[0]: (cells[1], [lock.split()[0] for lock in cells[2].split(", ") if lock != "none"])
        for cells in rows("isolation.md", head="name")
    }


def opened() -> Iterator[tuple[str, str, str]]:
    """Yield name, level and place of each transaction that the code opens."""
    for path, call, owner in calls(*LEVELS):
        method = dotted(call.func).rpartition(".")[2]
        if not owner.endswith("db") or shown(path) == "ratchet/persistence/database.py":
            continue
        place = shown(path, call.lineno)
        given = keyword(call, "name")
        if given is None:
            default = inspect.signature(getattr(Database, method)).parameters["name"].default
            yield str(default), LEVELS[method], place
        elif isinstance(given, ast.Constant):
            yield str(given.value), LEVELS[method], place
        else:
            helper = GIVEN_BY_THE_CALLER[shown(path)]
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.Call) and dotted(node.func).endswith(f".{helper}"):
                    name = node.args[-1]
                    assert isinstance(name, ast.Constant), f"{place}: {helper} is called without a plain name"
                    yield str(name.value), LEVELS[method], place


def fitting(name: str, known: dict[str, tuple[str, list[str]]]) -> str | None:
    """Return the row of a name: its own, else the pattern that it fits."""
    return name if name in known else next((row for row in known if fnmatch(name, row)), None)


def test_every_transaction_stands_in_the_table_with_its_level() -> None:
    known = table()
    wrong = [
        f"{place}: {name} is opened as {level}"
        for name, level, place in opened()
        if (row := fitting(name, known)) is None or known[row][0] != level
    ]
    assert wrong == [], "docs/isolation.md says something else, or nothing"


def test_every_name_of_the_table_is_opened_somewhere() -> None:
    names = {name for name, _, _ in opened()}
    assert [row for row in table() if not any(fnmatch(name, row) for name in names)] == []


def test_locks_up_to_the_lane_are_listed_in_the_one_order() -> None:
    known = table()
    orders = {name: [lock for lock in locks if lock in FIRST_LOCKS] for name, (_, locks) in known.items()}
    assert {n: o for n, o in orders.items() if o != sorted(o, key=FIRST_LOCKS.index)} == {}
    behind = {
        name: locks
        for name, (_, locks) in known.items()
        if "lane" in locks and {"order_intent", "positions"} & set(locks[: locks.index("lane")])
    }
    assert behind == {}, "intents and layers are locked behind their lane"


@pytest.mark.parametrize(
    ("method", "level", "read_only"),
    [
        ("transaction", "read committed", "off"),
        ("single", "read committed", "off"),
        ("reading", "repeatable read", "on"),
    ],
)
async def test_postgres_gives_the_level_that_the_page_names(
    postgres: Database, method: str, level: str, read_only: str
) -> None:
    asked = text(
        "SELECT current_setting('transaction_isolation') AS level, current_setting('transaction_read_only') AS ro"
    )
    async with getattr(postgres, method)(name="asked") as tx:
        row = await tx.one(asked)
    assert (row["level"], row["ro"]) == (level, read_only)
