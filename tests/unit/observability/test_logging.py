"""Log lines: one each, with their context, readable or as JSON, and never with a secret."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from ratchet.observability import logging as ratchet_logging
from ratchet.observability.context import bound, current
from ratchet.observability.redaction import HIDDEN, Redactor

SECRET = 'tok"en with/odd\\ch§rs'


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    monkeypatch.setattr(ratchet_logging, "_redactor", Redactor())
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_its_sentence_event_fields_and_context(written: io.StringIO) -> None:
    ratchet_logging.configure(form="auto", stream=written)
    with bound(signal_id="s-1", pod="pod-a", epoch=3):
        logging.getLogger("ratchet.x").info("order placed", extra={"event": "order_placed", "lots": 4})
    (line,) = lines(written)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "INFO",
        "event": "order_placed",
        "message": "order placed",
        "logger": "ratchet.x",
        "signal_id": "s-1",
        "pod": "pod-a",
        "epoch": 3,
        "lots": 4,
    }


def test_a_field_cannot_take_the_place_of_a_lines_own(written: io.StringIO) -> None:
    ratchet_logging.configure(form="json", stream=written)
    logging.getLogger("ratchet.x").warning("one", extra={"level": "FORGED", "ts": "never"})
    (line,) = lines(written)
    assert line["level"] == "WARNING"
    assert line["ts"] != "never"


def test_a_traceback_stays_inside_its_line(written: io.StringIO) -> None:
    ratchet_logging.configure(form="json", stream=written)
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("ratchet.x").exception("failed")
    (line,) = lines(written)
    assert "ValueError: first\nsecond" in line["error"]


def test_a_less_important_line_is_not_written(written: io.StringIO) -> None:
    ratchet_logging.configure(form="json", level="WARNING", stream=written)
    logging.getLogger("ratchet.x").info("quiet")
    assert written.getvalue() == ""


def test_text_is_readable_and_cannot_be_forged_by_a_sender(written: io.StringIO) -> None:
    ratchet_logging.configure(form="text", stream=written)
    with bound(request_id="r-1"):
        logging.getLogger("ratchet.x").info("reason %s", "a\n00:00 ERROR forged", extra={"why": "two words", "lots": 1})
    (line,) = written.getvalue().splitlines()
    assert "INFO" in line
    assert "reason a\\n00:00 ERROR forged" in line
    assert line.endswith('why="two words" lots=1 request_id=r-1')


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_secret_is_written_in_a_message_a_field_or_a_traceback(written: io.StringIO, form: str) -> None:
    ratchet_logging.configure(form=form, stream=written)
    ratchet_logging.hide([SECRET, "postgresql://u:p4ssw0rd@h/d"])
    try:
        raise RuntimeError(f"cannot log in with {SECRET}")
    except RuntimeError:
        logging.getLogger("ratchet.x").exception(
            "told %s",
            SECRET,
            extra={
                "nested": {"key": [SECRET]},
                "address": "login p4ssw0rd",
                "quoted": "tok%22en%20with%2Fodd%5Cch%C2%A7rs",
            },
        )
    text = written.getvalue()
    for part in ("odd", "p4ssw0rd"):
        assert part not in text
    assert text.count(HIDDEN) >= 5


def test_a_very_short_secret_does_not_eat_ordinary_words() -> None:
    assert Redactor(["a"]).clean("a plain sentence") == "a plain sentence"


def test_the_longest_secret_is_hidden_first() -> None:
    assert Redactor(["secret", "secret-previous"]).clean("secret-previous secret") == f"{HIDDEN} {HIDDEN}"


async def test_context_belongs_to_its_task_and_the_tasks_it_starts() -> None:
    seen: dict[str, dict[str, str | int]] = {}

    async def look(name: str) -> None:
        seen[name] = current()

    async def work(name: str) -> None:
        with bound(signal_id=name):
            async with asyncio.TaskGroup() as inner:
                inner.create_task(look(f"inner {name}"))
        await look(f"after {name}")

    async with asyncio.TaskGroup() as tasks:
        for name in ("a", "b"):
            tasks.create_task(work(name))
    assert seen == {
        "inner a": {"signal_id": "a"},
        "inner b": {"signal_id": "b"},
        "after a": {},
        "after b": {},
    }
