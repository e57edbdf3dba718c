"""What the code must not do anywhere, or only in named places."""

import ast
import re
from pathlib import Path

from tests.house.sources import CODE, PRODUCT, dotted, functions, python_files, shown, text_files, tree

# The outermost edges of tasks: they log and let the process decide. Each has a reason; nothing else may catch all.
EDGES: frozenset[str] = frozenset(
    {
        "leader/schedule.py",  # a duty that fails is logged and tried again, the others go on
        "ratchet/brokers/openalgo/transport.py",  # whatever ended a call, how far it had come decides what it proves
        "service/gate.py",  # a request: answered as an internal problem, whatever it was
        "ratchet/execution/accept.py",  # a batch that breaks is refused, its senders send again, the next one goes on
        "ratchet/execution/repeats.py",  # a read that breaks leaves its redeliveries to the accept, a note is only lost
        "ratchet/execution/worker.py",  # a signal that raises is poisoned, the queue behind it moves on
    }
)

SLEEPERS = {"time.sleep", "asyncio.sleep"}
MAY_SLEEP = (
    "tests/crash/",
    "tests/harness/",
    "tests/outages/",
    "tests/soak/",
    "tests/servers/",
    "tests/fakes/",
    "tests/unit/brokers/raw_server.py",
    "tests/simulator/desk.py",
)
"""Harnesses that pace real processes, and the polling helpers themselves."""

ZERO_WAIT = "asyncio.sleep(0)"
"""Yields to other tasks; waits for nothing."""


def test_no_test_sleeps() -> None:
    found = [
        shown(path, node.lineno)
        for path in python_files("tests")
        if not shown(path).startswith(MAY_SLEEP)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and dotted(node.func) in SLEEPERS and ast.unparse(node) != ZERO_WAIT
    ]
    assert found == [], "poll with tests.servers.eventually instead"


DURATIONS = {"send_window", "pause_margin", "drain_bound", "answered_bound"}
"""Seconds by the protocol's own words."""


def _may_be_a_float(name: str) -> bool:
    """Durations of the monotonic clock are floats by rule; everything else is a Decimal or an int."""
    return "seconds" in name or name in DURATIONS


def test_money_prices_and_quantities_are_never_floats_in_the_domain() -> None:
    found = []
    for path in python_files("ratchet/domain"):
        for node in ast.walk(tree(path)):
            match node:
                case ast.AnnAssign(target=target, annotation=note) if _names_float(note):
                    if not _may_be_a_float(dotted(target)):
                        found.append(shown(path, node.lineno))
                case ast.arg(arg=name, annotation=ast.expr() as note) if _names_float(note):
                    if not _may_be_a_float(name):
                        found.append(shown(path, node.lineno))
                case ast.Call(func=func) if dotted(func) == "float":
                    found.append(shown(path, node.lineno))
                case ast.BinOp(op=ast.Div(), left=ast.Constant(value=int()), right=ast.Constant(value=int())):
                    found.append(shown(path, node.lineno))
        found += [
            shown(path, function.lineno)
            for function in functions(path)
            if function.returns is not None and _names_float(function.returns) and not _may_be_a_float(function.name)
        ]
        found += _float_literals(path)
    assert sorted(set(found)) == []


def _names_float(annotation: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "float" for node in ast.walk(annotation))


def _float_literals(path: Path) -> list[str]:
    """Return literals with a fraction, except as the default of a duration."""
    allowed: set[ast.AST] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.AnnAssign) and _may_be_a_float(dotted(node.target)) and node.value is not None:
            allowed |= set(ast.walk(node.value))
        if isinstance(node, ast.Assign) and all(_may_be_a_float(dotted(t).lower()) for t in node.targets):
            allowed |= set(ast.walk(node.value))
        if isinstance(node, ast.arguments):
            allowed |= _defaults_of_durations(node)
    return [
        shown(path, node.lineno)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and node not in allowed
    ]


def _defaults_of_durations(arguments: ast.arguments) -> set[ast.AST]:
    plain = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(plain[len(plain) - len(arguments.defaults) :], arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return {default for argument, default in pairs if default is not None and _may_be_a_float(argument.arg)}


def test_only_named_edges_catch_everything() -> None:
    found = [
        shown(path, node.lineno)
        for path in python_files(*PRODUCT)
        if shown(path) not in EDGES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and _catches_all(node)
    ]
    assert found == []


def _catches_all(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    if any(dotted(kind) == "Exception" for kind in kinds):
        return True
    # BaseException may be caught to tidy up, if it is raised again at the end.
    if any(dotted(kind) == "BaseException" for kind in kinds):
        return not any(isinstance(node, ast.Raise) for statement in handler.body for node in ast.walk(statement))
    return False


RAISED_LATER = {"ratchet/execution/submit.py", "leader/crossing.py"}
"""Where a cancellation is kept until a send is recorded, or work on another loop has ended, and raised then; tested."""


def test_a_cancellation_is_always_raised_again() -> None:
    found = [
        shown(path, node.lineno)
        for path in python_files(*PRODUCT)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and node.type is not None
        and dotted(node.type) in ("asyncio.CancelledError", "CancelledError")
        and not any(isinstance(inner, ast.Raise) for statement in node.body for inner in ast.walk(statement))
        and shown(path, node.lineno).split(":")[0] not in RAISED_LATER
    ]
    assert found == []


def test_nothing_unfinished_is_left_in_the_code() -> None:
    unfinished = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|NotImplementedError")
    found = [
        shown(path, number)
        for path in python_files(*CODE)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if unfinished.search(line) and path.name != Path(__file__).name
    ]
    assert found == []


MACHINE_PATHS = re.compile(r"(?<![\w}])(/home/[a-z]|/Users/[a-zA-Z])")


def test_nothing_names_this_or_that_machine() -> None:
    found = [
        f"{shown(path, number)}: {line.strip()[:80]}"
        for path in text_files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if MACHINE_PATHS.search(line)
    ]
    assert found == []
