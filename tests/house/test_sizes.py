"""Files and functions stay small enough to be read in one go, and names tell what is inside."""

import ast

import pytest

from tests.house.sources import CODE, PRODUCT, ROOT, functions, python_files, shown, tree

LONGEST_FILE = 500
LONGEST_FUNCTION = 60
NAMES_THAT_TELL_NOTHING = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py", "stuff.py"}


def test_no_file_is_longer_than_500_lines() -> None:
    found = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(*CODE)}
    assert {name: lines for name, lines in found.items() if lines > LONGEST_FILE} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    found = {
        f"{shown(path, function.lineno)} {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in python_files(*CODE)
        for function in functions(path)
    }
    assert {name: lines for name, lines in found.items() if lines > LONGEST_FUNCTION} == {}


def test_no_file_has_a_name_that_tells_nothing() -> None:
    assert [shown(path) for path in python_files(*CODE) if path.name in NAMES_THAT_TELL_NOTHING] == []


@pytest.mark.parametrize("folder", PRODUCT)
def test_each_package_says_what_belongs_in_it(folder: str) -> None:
    packages = {path.parent for path in python_files(folder)}
    silent = [
        shown(package)
        for package in sorted(packages)
        if "versions" not in package.parts
        and (not (package / "__init__.py").exists() or not ast.get_docstring(tree(package / "__init__.py")))
    ]
    assert silent == []


def test_each_module_of_the_product_says_what_it_is_for() -> None:
    assert [shown(path) for path in python_files(*PRODUCT) if not ast.get_docstring(tree(path))] == []


def test_the_rules_look_at_real_files() -> None:
    assert len(python_files(*PRODUCT)) > 10
    assert (ROOT / "pyproject.toml").exists()
