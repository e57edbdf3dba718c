"""The project's own files, as the house rules see them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("ratchet", "service", "leader", "bench", "tests")
PRODUCT = ("ratchet", "service", "leader")
TEXT = (".md", ".py", ".yaml", ".yml", ".toml", ".sh", ".sql", ".cfg", ".ini", "")
SKIPPED = {".git", ".venv", "node_modules", "__pycache__", ".ratchet", "dist", "build"}


@cache
def python_files(*folders: str) -> tuple[Path, ...]:
    """Return the Python files below the given folders, sorted."""
    return tuple(
        path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")) if not SKIPPED & set(path.parts)
    )


@cache
def tree(path: Path) -> ast.Module:
    """Return the parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def text_files() -> Iterator[Path]:
    """Yield the files that people read."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden_tool = parts[0].startswith(".") and parts[0] not in (".ci", ".importlinter", ".gitignore")
        if path.is_file() and path.suffix in TEXT and not hidden_tool and not SKIPPED & set(parts):
            yield path


def shown(path: Path, line: int | None = None) -> str:
    """Return how a finding is named."""
    name = str(path.relative_to(ROOT))
    return f"{name}:{line}" if line is not None else name


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a file, nested ones too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for such an expression, else an empty string."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            before = dotted(value)
            return f"{before}.{attr}" if before else ""
        case _:
            return ""
