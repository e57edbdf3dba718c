"""A kubectl on PATH that answers what a test has written down, and keeps every call."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PROGRAM = """\
#!{python} -SE
import json, sys
from pathlib import Path
folder = Path({folder!r})
given = sys.argv[1:]
calls = folder / "calls.jsonl"
stdin = sys.stdin.read() if "-" in given else None
with calls.open("a") as file:
    file.write(json.dumps({{"words": given, "stdin": stdin}}) + "\\n")
def in_order(words, given):
    rest = iter(given)
    return all(word in rest for word in words)
made = [json.loads(line)["words"] for line in calls.read_text().splitlines()]
for number, rule in enumerate(json.loads((folder / "rules.json").read_text())):
    if in_order(rule["words"], given) and (not rule["after"] or any(in_order(rule["after"], one) for one in made)):
        count = folder / f"count-{{number}}"
        seen = int(count.read_text()) if count.exists() else 0
        count.write_text(str(seen + 1))
        answer = rule["answers"][min(seen, len(rule["answers"]) - 1)]
        sys.stdout.write(answer["out"])
        sys.stderr.write(answer["err"])
        sys.exit(answer["code"])
sys.stderr.write("error: the test wrote down no answer for " + " ".join(given) + "\\n")
sys.exit(1)
"""


def answer(out: Any = "", *, err: str = "", code: int = 0) -> dict[str, Any]:
    """Return one answer; what is no text is printed as JSON."""
    return {"out": out if isinstance(out, str) else json.dumps(out), "err": err, "code": code}


@dataclass(slots=True)
class FakeKubectl:
    """Answers by the words of a call, the first rule that fits; several answers of a rule are given in turn."""

    folder: Path
    rules: list[dict[str, Any]] = field(default_factory=list)

    def install(self) -> None:
        """Write the program."""
        program = self.folder / "kubectl"
        program.write_text(_PROGRAM.format(python=sys.executable, folder=str(self.folder)), encoding="utf-8")
        program.chmod(0o755)
        self._write()

    def when(self, *words: str, says: Any = "", err: str = "", code: int = 0, after: tuple[str, ...] = ()) -> None:
        """Answer a call in which these words stand in this order; `after`: only once such a call was made."""
        self.turns(*words, answers=[answer(says, err=err, code=code)], after=after)

    def turns(self, *words: str, answers: list[dict[str, Any]], after: tuple[str, ...] = ()) -> None:
        """The same with answers in turn, the last one again and again."""
        self.rules.append({"words": words, "answers": answers, "after": after})
        self._write()

    def calls(self, *words: str) -> list[list[str]]:
        """Return the calls in which these words stand in this order."""
        return [one["words"] for one in self._kept() if _in_order(words, one["words"])]

    def stdin(self, *words: str) -> list[Any]:
        """Return what such calls were given on standard input."""
        return [json.loads(one["stdin"]) for one in self._kept() if _in_order(words, one["words"])]

    def _kept(self) -> list[dict[str, Any]]:
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def _write(self) -> None:
        (self.folder / "rules.json").write_text(json.dumps(self.rules), encoding="utf-8")


def _in_order(words: tuple[str, ...], given: list[str]) -> bool:
    rest = iter(given)
    return all(word in rest for word in words)
