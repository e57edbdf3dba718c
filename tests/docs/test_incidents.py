import ast
from collections.abc import Iterator

from tests.docs.pages import calls, keyword, quoted, rows
from tests.house.sources import PRODUCT, functions, python_files, tree

OPENERS = ("open_incident", "open_for_intent", "review")
PASSED_ON = ("STALE_BARS", "STUCK_SIGNALS")
"""Constants that reach an opener through a parameter."""


def constants() -> dict[str, str]:
    """Return the texts that modules name in capitals."""
    return {
        target.id: node.value.value
        for path in python_files(*PRODUCT)
        for node in tree(path).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def kinds() -> Iterator[str]:
    """Yield the kinds of incident that the code opens, given or by default."""
    known = constants()
    yield from (known[name] for name in PASSED_ON)
    given = [keyword(call, "kind") for _, call, _ in calls(*OPENERS)]
    defaults = [
        default
        for path in python_files(*PRODUCT)
        for function in functions(path)
        if function.name in OPENERS
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        if argument.arg == "kind"
    ]
    for node in (*given, *defaults):
        match node:
            case ast.Constant(value=str() as kind):
                yield kind
            case ast.Name(id=name) if name in known:
                yield known[name]
            case ast.IfExp(body=ast.Constant(value=str() as one), orelse=ast.Constant(value=str() as other)):
                yield one
                yield other


def test_the_page_of_incidents_explains_every_kind_and_no_other() -> None:
    explained = {quoted(cells[0])[0] for cells in rows("how-to/operate-incidents.md", head="kind")}
    assert explained == set(kinds())
